//! Operators between values, as Python 2 evaluates them: zc.zk's tree texts may say `timeout = 60 * 5`.
//!
//! Numbers know all of them, texts and lists `+` with their like and `*` with a whole number. Whole numbers have 128
//! bits on the way to a result; what a result may be is for the reader to judge.

use super::literal::Literal;

/// Texts' bytes and lists' items in a result, at most.
const LARGEST: usize = 1 << 20;

/// An operator between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    Xor,
    And,
    Left,
    Right,
    Add,
    Subtract,
    Multiply,
    Divide,
    Floor,
    Remainder,
    Power,
}

impl Operator {
    /// Operators by their signs, longer signs before those that they begin with.
    const SIGNS: [(&'static str, Self); 12] = [
        ("**", Self::Power),
        ("//", Self::Floor),
        ("<<", Self::Left),
        (">>", Self::Right),
        ("|", Self::Or),
        ("^", Self::Xor),
        ("&", Self::And),
        ("+", Self::Add),
        ("-", Self::Subtract),
        ("*", Self::Multiply),
        ("/", Self::Divide),
        ("%", Self::Remainder),
    ];

    /// The operator at the start of a text, and its sign.
    pub(super) fn at_start(text: &str) -> Option<(&'static str, Self)> {
        Self::SIGNS.into_iter().find(|(sign, _)| text.starts_with(sign))
    }

    /// Rank: a higher one binds tighter. Operators of one rank go from left to right.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::Xor => 2,
            Self::And => 3,
            Self::Left | Self::Right => 4,
            Self::Add | Self::Subtract => 5,
            Self::Multiply | Self::Divide | Self::Floor | Self::Remainder => 6,
            Self::Power => 7,
        }
    }

    fn sign(self) -> &'static str {
        Self::SIGNS.into_iter().find(|(_, operator)| *operator == self).map_or("", |(sign, _)| sign)
    }

    /// The value of `left` and `right` with this operator between them.
    ///
    /// # Errors
    /// The reason why it has none.
    pub(super) fn apply(self, left: &Literal, right: &Literal) -> Result<Literal, String> {
        match (self, left, right) {
            (Self::Add, Literal::Text(one), Literal::Text(other)) => {
                is_small(one.len() + other.len())?;
                Ok(Literal::Text(format!("{one}{other}")))
            }
            (Self::Add, Literal::List(one), Literal::List(other)) => {
                is_small(size(left) + size(right))?;
                Ok(Literal::List(one.iter().chain(other).cloned().collect()))
            }
            (Self::Multiply, Literal::Text(_) | Literal::List(_), count) => repeated(left, count),
            (Self::Multiply, count, Literal::Text(_) | Literal::List(_)) => repeated(right, count),
            _ => match (integer(left), integer(right)) {
                (Some(one), Some(other)) => self.of_integers(one, other),
                _ => self.of_floats(self.number(left)?, self.number(right)?),
            },
        }
    }

    fn number(self, value: &Literal) -> Result<f64, String> {
        #[expect(clippy::cast_precision_loss, reason = "as Python does")]
        match (value, integer(value)) {
            (Literal::Float(number), _) => Ok(*number),
            (_, Some(number)) => Ok(number as f64),
            _ => Err(format!("`{}` does not go with {}", self.sign(), kind(value))),
        }
    }

    fn of_integers(self, one: i128, other: i128) -> Result<Literal, String> {
        let bits = u32::try_from(other).ok().filter(|bits| *bits < 128);
        let result = match self {
            Self::Or => Some(one | other),
            Self::Xor => Some(one ^ other),
            Self::And => Some(one & other),
            Self::Left | Self::Right if other < 0 => return Err("a shift by less than nothing".to_owned()),
            Self::Left => bits.and_then(|bits| one.checked_mul(1_i128.checked_shl(bits).filter(|unit| *unit > 0)?)),
            Self::Right => Some(one >> bits.unwrap_or(127)),
            Self::Add => one.checked_add(other),
            Self::Subtract => one.checked_sub(other),
            Self::Multiply => one.checked_mul(other),
            Self::Divide | Self::Floor | Self::Remainder if other == 0 => return Err("a division by zero".to_owned()),
            Self::Divide | Self::Floor => {
                let inexact = one.checked_rem(other).is_some_and(|rest| rest != 0);
                one.checked_div(other).map(|whole| whole - i128::from(inexact && (one < 0) != (other < 0)))
            }
            Self::Remainder => one
                .checked_rem(other)
                .map(|rest| if rest != 0 && (rest < 0) != (other < 0) { rest + other } else { rest }),
            #[expect(clippy::cast_precision_loss, reason = "as Python does")]
            Self::Power if other < 0 => return self.of_floats(one as f64, other as f64),
            Self::Power => match (one, other) {
                // Any exponent is well for these.
                (0 | 1, 1..) => Some(one),
                (-1, _) => Some(if other % 2 == 0 { 1 } else { -1 }),
                _ => u32::try_from(other).ok().and_then(|other| one.checked_pow(other)),
            },
        };
        result.map(Literal::Integer).ok_or_else(|| "the result has more than 128 bits".to_owned())
    }

    fn of_floats(self, one: f64, other: f64) -> Result<Literal, String> {
        let by_zero = other == 0.0 && matches!(self, Self::Divide | Self::Floor | Self::Remainder);
        if by_zero || (self == Self::Power && one == 0.0 && other < 0.0) {
            return Err("a division by zero".to_owned());
        }
        let result = match self {
            Self::Add => one + other,
            Self::Subtract => one - other,
            Self::Multiply => one * other,
            Self::Divide => one / other,
            Self::Floor => (one / other).floor(),
            Self::Remainder => {
                let rest = one % other;
                if rest != 0.0 && (rest < 0.0) != (other < 0.0) { rest + other } else { rest }
            }
            Self::Power => one.powf(other),
            _ => return Err(format!("`{}` goes with whole numbers only", self.sign())),
        };
        if result.is_finite() { Ok(Literal::Float(result)) } else { Err("the result is too large".to_owned()) }
    }
}

/// The value of a sign (`+`, `-` or `~`) before `value`.
///
/// # Errors
/// The reason why it has none.
pub(super) fn signed(sign: char, value: &Literal) -> Result<Literal, String> {
    match (sign, integer(value), value) {
        ('-', Some(number), _) => {
            number.checked_neg().map(Literal::Integer).ok_or_else(|| "the result has more than 128 bits".to_owned())
        }
        ('~', Some(number), _) => Ok(Literal::Integer(!number)),
        ('+', Some(number), _) => Ok(Literal::Integer(number)),
        ('-', _, Literal::Float(number)) => Ok(Literal::Float(-number)),
        ('+', _, Literal::Float(number)) => Ok(Literal::Float(*number)),
        _ => Err(format!("`{sign}` does not go with {}", kind(value))),
    }
}

/// A whole number's value; `True` and `False` are numbers, too.
fn integer(value: &Literal) -> Option<i128> {
    match value {
        Literal::Integer(number) => Some(*number),
        Literal::Bool(truth) => Some(i128::from(*truth)),
        _ => None,
    }
}

fn repeated(value: &Literal, count: &Literal) -> Result<Literal, String> {
    let Some(count) = integer(count) else { return Err(format!("`*` does not go with {}", kind(count))) };
    let count = usize::try_from(count.max(0)).map_err(|_| too_large())?;
    is_small(size(value).checked_mul(count).ok_or_else(too_large)?)?;
    Ok(match value {
        Literal::Text(text) => Literal::Text(text.repeat(count)),
        Literal::List(items) if items.is_empty() => Literal::List(Vec::new()),
        Literal::List(items) => Literal::List(std::iter::repeat_n(items, count).flatten().cloned().collect()),
        other => other.clone(),
    })
}

/// Bytes and items, all that are nested in it included.
fn size(value: &Literal) -> usize {
    match value {
        Literal::Text(text) => text.len(),
        Literal::List(items) => items.iter().map(|item| 1 + size(item)).sum(),
        Literal::Dict(entries) => entries.iter().map(|(key, value)| 1 + key.len() + size(value)).sum(),
        Literal::Null | Literal::Bool(_) | Literal::Integer(_) | Literal::Float(_) => 0,
    }
}

fn is_small(size: usize) -> Result<(), String> {
    if size <= LARGEST { Ok(()) } else { Err(too_large()) }
}

fn too_large() -> String {
    "the result is larger than 1 MiB".to_owned()
}

fn kind(value: &Literal) -> &'static str {
    match value {
        Literal::Null => "None",
        Literal::Bool(_) | Literal::Integer(_) | Literal::Float(_) => "a number",
        Literal::Text(_) => "a text",
        Literal::List(_) => "a list",
        Literal::Dict(_) => "a dict",
    }
}

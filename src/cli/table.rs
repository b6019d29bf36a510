//! Rows for people and programs: aligned and coloured on a terminal, with tabs between the columns in a pipe.

use std::io::IsTerminal as _;

use crate::log;

/// The colour of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    /// That of all text.
    Plain,
    /// Something good.
    Green,
    /// Something to look at.
    Yellow,
    /// Something bad.
    Red,
}

impl Colour {
    /// The text in this colour, for a terminal.
    pub(super) fn paint(self, text: &str) -> String {
        if self == Self::Plain { text.to_owned() } else { format!("\x1b[{}m{text}\x1b[0m", self.code()) }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
        }
    }
}

/// A cell: its text and colour.
pub(super) type Cell = (String, Colour);

/// A plain cell.
pub(super) fn plain(text: impl Into<String>) -> Cell {
    (text.into(), Colour::Plain)
}

/// Returns whether people look at the output.
pub(super) fn is_for_people() -> bool {
    std::io::stdout().is_terminal()
}

/// Returns whether people look at the output, and want colours (no-color.org).
pub(super) fn is_coloured() -> bool {
    is_for_people() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// The rows as text. What steers a terminal is taken out of the cells.
pub(super) fn render(rows: &[Vec<Cell>], is_for_people: bool) -> String {
    let has_colours = is_for_people && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let rows: Vec<Vec<Cell>> =
        rows.iter().map(|row| row.iter().map(|(text, colour)| (harmless(text), *colour)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.0.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, colour)) in row.iter().enumerate() {
            let is_last = column + 1 == row.len();
            text.push_str(&if has_colours { colour.paint(cell) } else { cell.clone() });
            if is_last {
                continue;
            }
            if is_for_people {
                let room = widths[column].saturating_sub(cell.chars().count()) + 2;
                text.extend(std::iter::repeat_n(' ', room));
            } else {
                text.push('\t');
            }
        }
        text.push('\n');
    }
    text
}

fn harmless(text: &str) -> String {
    log::visible(&text.replace(['\n', '\t'], " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_for_people_and_apart_by_tabs_for_programs() {
        let rows = [vec![plain("a"), ("in".into(), Colour::Green), plain("x")], vec![plain("longer"), plain("out")]];
        assert_eq!(render(&rows, false), "a\tin\tx\nlonger\tout\n");
        let aligned = render(&rows, true).replace("\x1b[32m", "").replace("\x1b[0m", "");
        assert_eq!(aligned, "a       in   x\nlonger  out\n");
    }

    #[test]
    fn a_cell_does_not_steer_the_terminal() {
        assert_eq!(render(&[vec![plain("a\x1b[31m\nb")]], true), "a\\u{1b}[31m b\n");
    }
}

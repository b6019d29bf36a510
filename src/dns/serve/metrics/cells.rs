//! The cells in which responses are counted: by zone, type of the question, and outcome.

use crate::dns::serve::answer::Rcode;

/// Types that are told apart, with their labels; the last row is for all others.
pub(super) const TYPES: [(u16, &str); 16] = [
    (0, "other"),
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (35, "NAPTR"),
    (43, "DS"),
    (65, "HTTPS"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
];

/// Row of [`TYPES`] for each type below 256.
#[allow(clippy::cast_possible_truncation)] // there are 16
const ROWS: [u8; 256] = {
    let (mut rows, mut row) = ([0; 256], 1);
    while row < TYPES.len() {
        rows[TYPES[row].0 as usize] = row as u8;
        row += 1;
    }
    rows
};

/// Codes of responses, by number. NODATA has a row behind them: a NOERROR without answers.
pub(super) const RCODES: [(Rcode, &str); 10] = [
    (Rcode::NoError, "NOERROR"),
    (Rcode::FormErr, "FORMERR"),
    (Rcode::ServFail, "SERVFAIL"),
    (Rcode::NxDomain, "NXDOMAIN"),
    (Rcode::NotImp, "NOTIMP"),
    (Rcode::Refused, "REFUSED"),
    (Rcode::BadVers, "BADVERS"),
    (Rcode::NotAuth, "NOTAUTH"),
    (Rcode::BadCookie, "BADCOOKIE"),
    (Rcode::YxDomain, "YXDOMAIN"),
];

/// Column of NODATA.
pub(super) const NODATA: usize = RCODES.len();

/// Columns of a row: a power of two, so that no multiplication is needed.
const COLUMNS: usize = 16;
const _: () = assert!(NODATA < COLUMNS, "NODATA has a column");
/// Cells of a zone.
const OF_ZONE: usize = TYPES.len() * COLUMNS;

/// Number of cells for so many zones, and for what is in none of them.
pub(super) fn count(zones: usize) -> usize {
    (zones + 1) * OF_ZONE
}

/// First cell of a zone (its place, plus one).
pub(super) fn start(zone: usize) -> usize {
    zone.saturating_mul(OF_ZONE)
}

/// The cell of a response. `zone` is the zone's place, plus one; 0 for what is in none.
#[inline]
pub(super) fn cell(zone: usize, rtype: u16, rcode: Rcode, is_empty: bool) -> usize {
    let row = ROWS.get(usize::from(rtype)).copied().unwrap_or_default();
    let column = if is_empty { NODATA } else { rcode as usize };
    zone * OF_ZONE + usize::from(row) * COLUMNS + column
}

/// The cell where `cell` is that of a zone which is not counted: the one of none.
pub(super) fn outside(cell: usize) -> usize {
    cell % OF_ZONE
}

/// Zone (its place, plus one), label of the type, and column of a cell.
pub(super) fn labels(cell: usize) -> (usize, &'static str, usize) {
    let (_, rtype) = TYPES[cell % OF_ZONE / COLUMNS];
    (cell / OF_ZONE, rtype, cell % COLUMNS)
}

/// Label of a column: the code, or NODATA.
pub(super) fn outcome(column: usize) -> &'static str {
    RCODES.get(column).map_or("NODATA", |(_, label)| label)
}

/// Code that a column's responses had.
pub(super) fn rcode(column: usize) -> &'static str {
    RCODES.get(column).map_or("NOERROR", |(_, label)| label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::record::rtype;

    #[test]
    fn a_cell_says_what_it_was_made_of() {
        for (i, (code, _)) in RCODES.iter().enumerate() {
            assert_eq!(*code as usize, i, "the row of a code is its number");
        }
        for (zone, asked, rcode, is_empty, expected) in [
            (0, rtype::A, Rcode::Refused, false, (0, "A", "REFUSED")),
            (1, rtype::SRV, Rcode::NoError, false, (1, "SRV", "NOERROR")),
            (1, rtype::AAAA, Rcode::NoError, true, (1, "AAAA", "NODATA")),
            (7, 255, Rcode::YxDomain, false, (7, "ANY", "YXDOMAIN")),
            (7, 64, Rcode::NxDomain, false, (7, "other", "NXDOMAIN")),
            (7, 65_535, Rcode::NxDomain, false, (7, "other", "NXDOMAIN")),
        ] {
            let cell = cell(zone, asked, rcode, is_empty);
            assert!(cell < count(zone), "{expected:?}");
            let (zone, rtype, column) = labels(cell);
            assert_eq!((zone, rtype, outcome(column)), expected);
        }
    }
}

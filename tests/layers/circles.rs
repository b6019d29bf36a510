//! Pairs of files that import each other: such files are one file in two pieces, and neither can be read, tested or
//! moved alone.
//!
//! A file imports another if it names something of it, a re-export included. A declaration of a module is no import,
//! so a folder's face may name its files as long as they take nothing from it.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::Scan;

/// Returns each pair of files that import each other, as indices into `modules`, with the line of the import in the
/// first and in the second. `modules` are the files' modules and imports, test code left out.
pub(super) fn pairs(modules: &[(Vec<String>, &Scan)]) -> Vec<[(usize, usize); 2]> {
    let files: BTreeMap<&[String], usize> =
        modules.iter().enumerate().map(|(file, (module, _))| (module.as_slice(), file)).collect();
    // The line of the first import of one file by another.
    let mut edges: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (from, (module, scan)) in modules.iter().enumerate() {
        for import in &scan.imports {
            let Some(to) = file_of(&files, module, &import.segments).filter(|&to| to != from) else { continue };
            let line = edges.entry((from, to)).or_insert(import.line);
            *line = import.line.min(*line);
        }
    }
    let mutual: BTreeSet<(usize, usize)> =
        edges.keys().filter(|&&(a, b)| a < b && edges.contains_key(&(b, a))).copied().collect();
    mutual.into_iter().map(|(a, b)| [(a, edges[&(a, b)]), (b, edges[&(b, a)])]).collect()
}

/// Returns the file that holds what a path names: the longest part of the path that is a file. Paths of foreign crates
/// have none.
fn file_of(files: &BTreeMap<&[String], usize>, module: &[String], segments: &[String]) -> Option<usize> {
    let (first, rest) = segments.split_first()?;
    let absolute: Vec<String> = if first == "crate" {
        rest.to_vec()
    } else {
        // A path may also begin with a module below this one.
        let child = [module, std::slice::from_ref(first)].concat();
        files.contains_key(child.as_slice()).then(|| [module, segments].concat())?
    };
    (1..=absolute.len()).rev().find_map(|length| files.get(&absolute[..length]).copied())
}

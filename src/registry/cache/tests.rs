//! The file as a whole: saved, loaded, refused, and never in the way.

use std::sync::RwLock;

use super::*;
use crate::registry::tree::Known;

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

fn scope() -> CacheScope {
    CacheScope { ensemble: "127.0.0.1:2181".into(), root: path("/s") }
}

fn entry(data: &str) -> Entry {
    Entry::Known(Known { data: data.as_bytes().into(), czxid: 1, mzxid: 2, ephemeral_owner: 3, ctime: 0 })
}

fn tree(nodes: &[(&str, &str)]) -> SharedTree {
    let mut tree = Tree::default();
    for (at, data) in nodes {
        tree.put(&path(at), entry(data), 1);
    }
    Arc::new(RwLock::new(tree.into()))
}

/// A directory of this test alone.
fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("zonekeeper-cache-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn until(what: &str, probe: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if probe() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("not within ten seconds: {what}");
}

fn publish(saver: &Saver, tree: &SharedTree, changed: &[&str], settled: bool) {
    let changed: Vec<Path> = changed.iter().map(|at| path(at)).collect();
    saver.published(tree.read().unwrap().tree(), &changed, settled);
}

#[test]
fn what_is_saved_is_loaded_and_is_of_the_time_it_was_true() {
    let directory = directory("saved");
    let (file, tree) = (directory.join("main"), tree(&[("/s", ""), ("/s/a", "{}")]));
    let saver =
        Saver::spawn(file.clone(), scope(), Arc::clone(&tree), None, Duration::from_secs(3600), &Hurry::default())
            .unwrap();
    let begun = SystemTime::now();
    publish(&saver, &tree, &["/s", "/s/a"], true);
    until("a save", || saver.report().saves == 1);
    let Loaded { tree: loaded, when, .. } = load(&file, &scope()).unwrap();
    assert_eq!(loaded, *tree.read().unwrap().tree());
    assert!(when.duration_since(begun - Duration::from_millis(1)).unwrap() < Duration::from_secs(10));
    assert_eq!(saver.report().bytes, fs::metadata(&file).unwrap().len());
    drop(saver);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is left behind");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn an_unpublished_change_keeps_the_old_file_and_what_is_published_meanwhile_is_saved() {
    let directory = directory("meanwhile");
    let (file, tree) = (directory.join("main"), tree(&[("/s", ""), ("/s/a", "old")]));
    let saver =
        Saver::spawn(file.clone(), scope(), Arc::clone(&tree), None, Duration::from_secs(3600), &Hurry::default())
            .unwrap();
    publish(&saver, &tree, &["/s"], false);
    until("the end of the pieces", || beside(&file, ".new").exists());
    std::thread::park_timeout(Duration::from_millis(50));
    assert!(!file.exists(), "no file while the tree holds what is not published");
    tree.write().unwrap().tree_mut().put(&path("/s/a"), entry("new"), 1);
    tree.write().unwrap().tree_mut().put(&path("/s/b"), entry("born"), 1);
    publish(&saver, &tree, &["/s/a", "/s/b"], true);
    until("a save", || saver.report().saves == 1);
    assert_eq!(load(&file, &scope()).unwrap().tree, *tree.read().unwrap().tree());
    drop(saver);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_end_saves_what_changed_since_the_last_save() {
    let directory = directory("end");
    let (file, tree) = (directory.join("main"), tree(&[("/s", "")]));
    let saver =
        Saver::spawn(file.clone(), scope(), Arc::clone(&tree), None, Duration::from_secs(3600), &Hurry::default())
            .unwrap();
    publish(&saver, &tree, &["/s"], true);
    until("a save", || saver.report().saves == 1);
    tree.write().unwrap().tree_mut().put(&path("/s/late"), entry("x"), 1);
    publish(&saver, &tree, &["/s/late"], true);
    drop(saver);
    assert_eq!(load(&file, &scope()).unwrap().tree.len(), 2);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_directory_that_cannot_be_written_is_counted_and_hurts_nobody() {
    let directory = directory("gone");
    let (file, tree) = (directory.join("missing").join("main"), tree(&[("/s", "")]));
    let saver =
        Saver::spawn(file, scope(), Arc::clone(&tree), None, Duration::from_secs(3600), &Hurry::default()).unwrap();
    publish(&saver, &tree, &["/s"], true);
    until("a failure", || saver.report().failures == 1);
    assert!(saver.report().trouble.is_some());
    publish(&saver, &tree, &["/s"], true);
    drop(saver);
    fs::remove_dir_all(directory).unwrap();
}

/// `/dev/full` takes no byte, as a full disk does.
#[test]
fn a_full_disk_leaves_the_old_file_as_it_was() {
    let directory = directory("full");
    let (file, tree) = (directory.join("main"), tree(&[("/s", "")]));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink("/dev/full", beside(&file, ".new")).unwrap();
    let saver =
        Saver::spawn(file.clone(), scope(), Arc::clone(&tree), None, Duration::from_secs(3600), &Hurry::default())
            .unwrap();
    publish(&saver, &tree, &["/s"], true);
    until("a failure", || saver.report().failures == 1);
    assert!(saver.report().trouble.unwrap().contains("No space left"));
    assert_eq!(fs::read(&file).unwrap(), b"old");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_file_that_is_not_taken_is_moved_aside_and_kept() {
    let directory = directory("aside");
    let file = directory.join("main");
    assert!(load(&file, &scope()).is_none(), "no file is no trouble");
    fs::write(&file, "something else").unwrap();
    assert!(load(&file, &scope()).is_none());
    assert!(!file.exists());
    assert_eq!(fs::read(directory.join("main.refused")).unwrap(), b"something else");
    fs::remove_dir_all(directory).unwrap();
}

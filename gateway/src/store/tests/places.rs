//! What is written where nobody would find it again.

use super::*;

#[track_caller]
fn is_moved(store: &Store) {
    let error = store.write(&[put(device("lost"))]).unwrap_err();
    assert!(matches!(error.kind, StoreFault::Moved), "{error}");
    let said = error.to_string();
    assert!(
        said.contains("openclaw.sqlite or its -wal file was moved"),
        "{said}"
    );
}

#[test]
fn nothing_is_written_into_files_that_were_removed() {
    for name in ["openclaw.sqlite", "openclaw.sqlite-wal", ""] {
        let home = Home::new();
        let (store, _) = home.open();
        store.write(&[put(device("desk"))]).unwrap();
        let state = home.dir.path().join("state");
        if name.is_empty() {
            fs::remove_dir_all(&state).unwrap();
        } else {
            fs::remove_file(state.join(name)).unwrap();
        }
        is_moved(&store);
        drop(store);
    }
}

#[test]
fn nothing_is_written_while_the_state_directory_is_elsewhere() {
    let home = Home::new();
    let (store, _) = home.open();
    store.write(&[put(device("desk"))]).unwrap();
    let (here, there) = (home.dir.path().join("state"), home.dir.path().join("there"));
    fs::rename(&here, &there).unwrap();
    is_moved(&store);
    fs::rename(&there, &here).unwrap();
    store.write(&[put(device("next"))]).unwrap();
    drop(store);
    let devices = vec![device("desk"), device("next")];
    assert_eq!(home.contents().devices, devices);
}

#[test]
fn who_is_left_behind_does_not_touch_what_is_in_its_place() {
    let home = Home::new();
    let (old, _) = home.open();
    old.write(&[put(device("old"))]).unwrap();
    let there = home.dir.path().join("there");
    fs::rename(home.dir.path().join("state"), &there).unwrap();
    let (new, found) = home.open();
    assert_eq!(found, Contents::default());
    new.write(&[put(device("new"))]).unwrap();
    is_moved(&old);
    drop(old);
    assert!(home.log().exists(), "it removed the log of the new one");
    new.write(&[put(device("next"))]).unwrap();
    // Killed.
    std::mem::forget(new);
    let killed = Home::with_file(&fs::read(home.path()).unwrap());
    fs::copy(home.log(), killed.log()).unwrap();
    assert_eq!(killed.contents().devices, [device("new"), device("next")]);
    let moved = Store::open(&there.join("openclaw.sqlite")).unwrap().1;
    assert_eq!(moved.devices, [device("old")]);
}

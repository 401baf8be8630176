//! Each rule of the disk, over many seeds: what may be left after a cut, and that every such outcome does occur.

use super::*;

const SECTOR: usize = 512;

fn path(p: &str) -> &Path {
    Path::new(p)
}

fn disk() -> SimDisk {
    SimDisk::new(1 << 20, SECTOR)
}

/// Builds a disk for each of 300 seeds, cuts its power, and collects what `look` sees.
fn outcomes<T: Ord>(
    build: impl Fn() -> (SimDisk, Vec<Loose>),
    look: impl Fn(&mut SimDisk) -> T,
) -> BTreeSet<T> {
    (0..300)
        .map(|seed| {
            let (mut disk, loose) = build();
            disk.power_cut(&mut Random::new(seed), loose);
            look(&mut disk)
        })
        .collect()
}

/// A file of two sectors of `a`, synced with its name.
fn synced_file() -> (SimDisk, Ino) {
    let mut d = disk();
    let (ino, _) = d.create(path("/f"), false).unwrap();
    d.land(ino, 0, vec![b'a'; 2 * SECTOR]).unwrap();
    let before = d.changes_so_far(ino).unwrap();
    d.sync_file(ino, before).unwrap();
    let names = d.names_so_far();
    d.sync_dir(ROOT, names);
    (d, ino)
}

fn text(bytes: &[u8]) -> String {
    // One letter for each sector: its byte if it is uniform, `?` if it is garbage.
    bytes
        .chunks(SECTOR)
        .map(|s| if s.iter().all(|b| *b == s[0]) { char::from(s[0]) } else { '?' })
        .map(|c| if c == '\0' { '0' } else { c })
        .collect()
}

fn content(d: &mut SimDisk) -> Option<String> {
    let ino = d.find(path("/f")).ok()?;
    Some(text(&d.read(ino, 0, 1 << 20).unwrap()))
}

#[test]
fn what_is_synced_stays() {
    let seen = outcomes(|| (synced_file().0, Vec::new()), content);
    assert_eq!(seen, BTreeSet::from([Some("aa".to_owned())]));
}

#[test]
fn a_completed_write_without_a_sync_is_dropped_kept_torn_or_garbled() {
    let build = || {
        let (mut d, ino) = synced_file();
        d.land(ino, 0, vec![b'b'; 2 * SECTOR]).unwrap();
        (d, Vec::new())
    };
    let seen = outcomes(build, content);
    let all = ["aa", "bb", "ab", "ba", "?b", "b?"];
    assert_eq!(seen, all.iter().map(|s| Some((*s).to_owned())).collect());
}

#[test]
fn a_write_under_way_may_land_or_not() {
    let build = || {
        let (d, ino) = synced_file();
        (d, vec![Loose { ino, pos: 0, data: vec![b'b'; SECTOR] }])
    };
    let seen = outcomes(build, content);
    assert_eq!(seen, ["aa", "ba", "?a"].iter().map(|s| Some((*s).to_owned())).collect());
}

#[test]
fn a_sync_covers_only_what_completed_before_it_was_submitted() {
    let build = || {
        let (mut d, ino) = synced_file();
        d.land(ino, 0, vec![b'b'; SECTOR]).unwrap();
        let before = d.changes_so_far(ino).unwrap();
        d.land(ino, SECTOR as u64, vec![b'c'; SECTOR]).unwrap();
        d.sync_file(ino, before).unwrap();
        (d, Vec::new())
    };
    let seen = outcomes(build, content);
    assert_eq!(seen, ["ba", "bc", "b?"].iter().map(|s| Some((*s).to_owned())).collect());
}

#[test]
fn a_sync_of_one_file_does_nothing_for_another() {
    let build = || {
        let (mut d, ino) = synced_file();
        d.land(ino, 0, vec![b'b'; 2 * SECTOR]).unwrap();
        let (other, _) = d.create(path("/other"), false).unwrap();
        d.land(other, 0, vec![b'x'; SECTOR]).unwrap();
        let before = d.changes_so_far(other).unwrap();
        d.sync_file(other, before).unwrap();
        (d, Vec::new())
    };
    assert!(outcomes(build, content).contains(&Some("aa".to_owned())));
}

#[test]
fn extents_preallocated_without_a_sync_read_as_zeros_or_are_gone() {
    let build = || {
        let (mut d, ino) = synced_file();
        d.allocate(ino, 0, 4 * SECTOR as u64).unwrap();
        d.land(ino, 2 * SECTOR as u64, vec![b'b'; SECTOR]).unwrap();
        (d, Vec::new())
    };
    let seen = outcomes(build, content);
    let all = ["aa", "aa00", "aab0", "aa?0"];
    assert_eq!(seen, all.iter().map(|s| Some((*s).to_owned())).collect());
}

#[test]
fn a_length_is_kept_or_lost_apart_from_the_bytes() {
    let build = || {
        let (mut d, ino) = synced_file();
        d.land(ino, 2 * SECTOR as u64, vec![b'b'; SECTOR]).unwrap();
        (d, Vec::new())
    };
    let seen = outcomes(build, content);
    let all = ["aa", "aa0", "aab", "aa?"];
    assert_eq!(seen, all.iter().map(|s| Some((*s).to_owned())).collect());
}

#[test]
fn a_truncation_without_a_sync_may_be_undone() {
    let build = || {
        let (mut d, ino) = synced_file();
        d.set_length(ino, SECTOR as u64).unwrap();
        (d, Vec::new())
    };
    let seen = outcomes(build, content);
    assert_eq!(seen, ["a", "aa"].iter().map(|s| Some((*s).to_owned())).collect());
}

fn names(d: &mut SimDisk) -> Vec<String> {
    d.image(false).into_keys().map(|p| p.to_string_lossy().into_owned()).collect()
}

#[test]
fn a_name_without_a_sync_of_its_directory_may_be_lost_though_the_file_is_synced() {
    let build = || {
        let mut d = disk();
        let (ino, _) = d.create(path("/f"), false).unwrap();
        d.land(ino, 0, vec![b'a'; SECTOR]).unwrap();
        let before = d.changes_so_far(ino).unwrap();
        d.sync_file(ino, before).unwrap();
        (d, Vec::new())
    };
    assert_eq!(outcomes(build, content), BTreeSet::from([None, Some("a".to_owned())]));
}

#[test]
fn a_synced_name_in_an_unsynced_directory_may_be_lost() {
    let build = || {
        let mut d = disk();
        d.create_dir(path("/d")).unwrap();
        d.create(path("/d/f"), false).unwrap();
        let (dir, so_far) = (d.find(path("/d")).unwrap(), d.names_so_far());
        d.sync_dir(dir, so_far);
        (d, Vec::new())
    };
    let seen = outcomes(build, names);
    assert_eq!(seen, BTreeSet::from([vec![], vec!["/d/f".to_owned()]]));
}

#[test]
fn a_rename_happens_as_a_whole_or_not_at_all() {
    let build = || {
        let (mut d, _) = synced_file();
        let (new, _) = d.create(path("/new"), false).unwrap();
        d.land(new, 0, vec![b'n'; SECTOR]).unwrap();
        let before = d.changes_so_far(new).unwrap();
        d.sync_file(new, before).unwrap();
        let so_far = d.names_so_far();
        d.sync_dir(ROOT, so_far);
        d.rename(path("/new"), path("/f")).unwrap();
        (d, Vec::new())
    };
    let seen = outcomes(build, |d| (content(d), names(d)));
    let before = (Some("aa".to_owned()), vec!["/f".to_owned(), "/new".to_owned()]);
    let after = (Some("n".to_owned()), vec!["/f".to_owned()]);
    assert_eq!(seen, BTreeSet::from([before, after]));
}

#[test]
fn a_removal_without_a_sync_may_be_undone() {
    let build = || {
        let (mut d, _) = synced_file();
        d.remove_file(path("/f")).unwrap();
        (d, Vec::new())
    };
    assert_eq!(outcomes(build, content), BTreeSet::from([None, Some("aa".to_owned())]));
}

#[test]
fn a_directory_sync_covers_only_names_changed_before_it_was_submitted() {
    let build = || {
        let mut d = disk();
        d.create(path("/one"), false).unwrap();
        let so_far = d.names_so_far();
        d.create(path("/two"), false).unwrap();
        d.sync_dir(ROOT, so_far);
        (d, Vec::new())
    };
    let seen = outcomes(build, names);
    let one = vec!["/one".to_owned()];
    let both = vec!["/one".to_owned(), "/two".to_owned()];
    assert_eq!(seen, BTreeSet::from([one, both]));
}

#[test]
fn names_changed_independently_are_kept_in_any_choice() {
    let build = || {
        let mut d = disk();
        d.create(path("/one"), false).unwrap();
        d.create(path("/two"), false).unwrap();
        (d, Vec::new())
    };
    assert_eq!(outcomes(build, |d| names(d).len()), BTreeSet::from([0, 1, 2]));
    let orders = outcomes(build, names);
    assert!(orders.contains(&vec!["/two".to_owned()]), "the later without the earlier");
}

#[test]
fn a_moved_file_never_has_two_names() {
    let build = || {
        let mut d = disk();
        d.create_dir(path("/a")).unwrap();
        d.create_dir(path("/b")).unwrap();
        let so_far = d.names_so_far();
        d.sync_dir(ROOT, so_far);
        d.create(path("/a/x"), false).unwrap();
        d.rename(path("/a/x"), path("/b/y")).unwrap();
        let (b, so_far) = (d.find(path("/b")).unwrap(), d.names_so_far());
        d.sync_dir(b, so_far);
        (d, Vec::new())
    };
    assert_eq!(outcomes(build, names), BTreeSet::from([vec!["/b/y".to_owned()]]));
}

#[test]
fn a_full_disk_is_met_in_allocation_and_space_comes_back() {
    let mut d = SimDisk::new(8 * BLOCK, SECTOR);
    let (ino, _) = d.create(path("/f"), false).unwrap();
    d.opened(ino).unwrap();
    d.allocate(ino, 0, 6 * BLOCK).unwrap();
    let (other, _) = d.create(path("/g"), false).unwrap();
    let full = d.allocate(other, 0, 2 * BLOCK).unwrap_err();
    assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
    d.set_length(other, 0).unwrap();
    // Allocated space takes writes although the disk is full.
    d.land(ino, 5 * BLOCK, vec![1; 4096]).unwrap();
    d.remove_file(path("/f")).unwrap();
    assert_eq!(d.free(), BLOCK, "an open file keeps its space");
    d.closed(ino, 0, 0);
    assert_eq!(d.free(), BLOCK, "and so does one whose removal a cut may undo");
    let so_far = d.names_so_far();
    d.sync_dir(ROOT, so_far);
    d.closed(other, 0, 0);
    assert_eq!(d.free(), 7 * BLOCK);
}

#[test]
fn a_flipped_bit_survives_everything() {
    let (mut d, ino) = synced_file();
    d.flip_bit(path("/f"), 8 * 3 + 1).unwrap();
    assert_eq!(d.read(ino, 3, 1).unwrap(), [b'a' ^ 2]);
    d.power_cut(&mut Random::new(1), Vec::new());
    let ino = d.find(path("/f")).unwrap();
    assert_eq!(d.read(ino, 3, 1).unwrap(), [b'a' ^ 2]);
    assert!(d.flip_bit(path("/f"), 1 << 40).is_err());
}

/// As ext4 does it: extents are taken one by one until there are none, and the file's length goes with them.
#[test]
fn an_allocation_that_is_refused_keeps_what_it_found() {
    let mut d = disk();
    let (ino, _) = d.create(path("/f"), false).unwrap();
    d.allocate(ino, 0, 8192).unwrap();
    let free = d.free();
    let refused = d.allocate(ino, 8192, free + 4096).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ENOSPC));
    assert_eq!((d.free(), d.length(ino).unwrap()), (0, 8192 + free));
    // Nothing is left, and nothing is found.
    let (other, _) = d.create(path("/g"), false).unwrap();
    assert!(d.allocate(other, 4096, 4096).is_err());
    assert_eq!(d.length(other).unwrap(), 0);
    d.set_length(ino, 8192).unwrap();
    assert_eq!(d.free(), free);
}

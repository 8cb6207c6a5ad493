use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::plan::{ZipLimits, ZipRefusal};
use super::unpack::{UnpackError, check, remove_tree, unpack};
use super::{CodeCache, CodeDigest};

const LIMITS: ZipLimits = ZipLimits { entries: 100, unpacked_bytes: 1_000_000 };

enum Entry<'a> {
    File(&'a str, &'a [u8], u32),
    Dir(&'a str),
    Link(&'a str, &'a str),
}
use Entry::{Dir, File, Link};

fn zip_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for entry in entries {
        match entry {
            File(path, bytes, mode) => {
                zip.start_file(*path, options.unix_permissions(*mode)).unwrap();
                zip.write_all(bytes).unwrap();
            }
            Dir(path) => zip.add_directory(*path, options).unwrap(),
            Link(path, target) => zip.add_symlink(*path, *target, options).unwrap(),
        }
    }
    zip.finish().unwrap().into_inner()
}

fn refusal(entries: &[Entry<'_>]) -> String {
    check(&zip_of(entries), LIMITS).expect_err("refused").to_string()
}

#[test]
fn a_good_zip_is_unpacked_read_only_with_its_modes_and_links() {
    let zip = zip_of(&[
        File("app.py", b"x", 0o644),
        File("bin/run", b"#!", 0o755),
        Dir("empty/"),
        Link("lib/current", "../bin"),
        File("deep/er/file", b"123", 0o600),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("code");
    std::fs::create_dir(&root).unwrap();
    assert_eq!(check(&zip, LIMITS).unwrap(), 6);
    assert_eq!(unpack(&zip, LIMITS, &root).unwrap(), 6);
    let mode = |path: &str| root.join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("app.py"), mode("bin/run"), mode("deep/er/file")), (0o444, 0o555, 0o444));
    assert_eq!((mode("empty"), mode("")), (0o755, 0o755));
    assert_eq!(std::fs::read(root.join("lib/current/run")).unwrap(), b"#!");
    remove_tree(&root).unwrap();
    assert!(!root.exists());
}

#[test]
fn what_leads_out_is_refused() {
    let file = File("a", b"x", 0o644);
    for path in ["../x", "a/../../x", "/etc/passwd", "a/..", "x\n"] {
        assert!(refusal(&[File(path, b"x", 0o644)]).contains("not allowed"), "{path}");
    }
    for target in ["/etc/passwd", "../x", "a/../../x", "l"] {
        let link = refusal(&[File("a", b"x", 0o644), Link("l", target)]);
        assert!(link.contains("symbolic link that leads out"), "{target}: {link}");
    }
    // The way through another link is one directory shorter than it looks.
    let through = [file, Dir("top/"), Link("deep/er/l", "../../top"), Link("m", "deep/er/l/../..")];
    assert!(refusal(&through).contains("leads out"));
    assert!(refusal(&[Link("d", "sub"), File("d/x", b"x", 0o644)]).contains("below what is not a directory"));
    assert!(refusal(&[File("d/x", b"x", 0o644), Link("d", "sub")]).contains("twice"));
}

#[test]
fn what_is_too_much_is_refused() {
    let bomb = vec![0; 2_000_000];
    let zip = zip_of(&[File("bomb", &bomb, 0o644)]);
    assert!(zip.len() < 10_000);
    assert_eq!(check(&zip, LIMITS), Err(ZipRefusal::TooLarge(1_000_000)));
    let names: Vec<String> = (0..101).map(|n| format!("f{n}")).collect();
    let many: Vec<Entry<'_>> = names.iter().map(|name| File(name, b"", 0o644)).collect();
    assert!(matches!(check(&zip_of(&many), LIMITS), Err(ZipRefusal::TooManyEntries { found: 101, allowed: 100 })));
    let deep = "d/".repeat(100) + "f";
    assert!(refusal(&[File(&deep, b"", 0o644)]).contains("too deep"));
    assert!(refusal(&[File(&"x".repeat(300), b"", 0o644)]).contains("too long a name"));
    assert_eq!(check(&zip_of(&[Dir("d/")]), LIMITS), Err(ZipRefusal::Empty));
    assert!(matches!(check(b"PK not a zip", LIMITS), Err(ZipRefusal::Broken(_))));
    assert!(matches!(check(b"", LIMITS), Err(ZipRefusal::Broken(_))));
}

/// The size that the zip declares for a file is not what counts.
#[test]
fn a_lie_about_the_size_does_not_help() {
    let content = vec![7; 1_500_000];
    let mut zip = zip_of(&[File("f", &content, 0o644)]);
    let (real, lie) = (1_500_000u32.to_le_bytes(), 10u32.to_le_bytes());
    for at in 0..zip.len() - 4 {
        if zip[at..at + 4] == real {
            zip[at..at + 4].copy_from_slice(&lie);
        }
    }
    check(&zip, LIMITS).expect_err("too large, or broken");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever bytes come: an answer, no panic, and nothing outside the directory.
    #[test]
    fn a_damaged_zip_never_escapes(
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        name in "[a-z./\\\\]{1,12}",
        target in "[a-z./]{1,12}",
    ) {
        let mut zip = zip_of(&[File("a/b", b"some text that is packed", 0o644), File(&name, b"y", 0o755), Link("l/n", &target)]);
        for (index, byte) in at {
            let index = index.index(zip.len());
            zip[index] = byte;
        }
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("inner/code");
        std::fs::create_dir_all(&root).unwrap();
        let checked = check(&zip, LIMITS);
        match unpack(&zip, LIMITS, &root) {
            Ok(size) => prop_assert_eq!(checked, Ok(size)),
            Err(UnpackError::Refused(refusal)) => prop_assert_eq!(checked, Err(refusal)),
            Err(UnpackError::Disk(error)) => prop_assert!(false, "a checked zip does not unpack: {}", error),
        }
        let outside: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        prop_assert_eq!(outside, vec!["inner"]);
        remove_tree(&root).unwrap();
    }
}

#[tokio::test]
async fn starts_share_one_unpack_and_unused_code_is_evicted() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CodeCache::open(dir.path().join("cache"), LIMITS, 10).unwrap();
    let fetches = AtomicUsize::new(0);
    let zips = [b"12345678", b"abcdefgh"].map(|content| Bytes::from(zip_of(&[File("f", content, 0o644)])));
    let lease = |zip: &Bytes| {
        let (cache, zip, fetches) = (cache.clone(), zip.clone(), &fetches);
        async move {
            let fetch = async {
                fetches.fetch_add(1, Ordering::SeqCst);
                Ok(zip.clone())
            };
            cache.lease(CodeDigest::of(&zip), fetch).await.unwrap()
        }
    };
    let (one, same) = tokio::join!(lease(&zips[0]), lease(&zips[0]));
    assert_eq!((one.path(), fetches.load(Ordering::SeqCst)), (same.path(), 1));
    let other = lease(&zips[1]).await;
    assert!(one.path().exists() && other.path().exists(), "what is in use stays, whatever the budget");
    let path = one.path().to_owned();
    drop(one);
    assert!(path.exists());
    drop(same);
    assert!(!path.exists(), "the budget holds one of them");
    drop(other);
    lease(&zips[0]).await;
    assert_eq!(fetches.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn damaged_code_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let cache = CodeCache::open(dir.path().join("cache"), LIMITS, 10).unwrap();
    let zip = Bytes::from(zip_of(&[File("f", b"x", 0o644)]));
    let damaged = cache.lease(CodeDigest::of(b"other"), async { Ok(zip.clone()) }).await;
    assert!(damaged.is_err());
    let left = std::fs::read_dir(dir.path().join("cache")).unwrap().count();
    assert_eq!(left, 0);
    cache.lease(CodeDigest::of(&zip), async { Ok(zip.clone()) }).await.expect("the good one runs");
}

//! What must hold for any name and any contents.

use std::io::Cursor;
use std::path::{Component, Path};

use bundle::{Compression, Digest, Kind, MemberPath, Platform};
use proptest::prelude::*;

use crate::sample::Sample;

proptest! {
    #[test]
    fn no_accepted_path_leaves_its_directory(text in "[./\\\\a-cA\u{0}\u{301}é ]{0,12}|\\PC{0,40}") {
        if let Ok(path) = MemberPath::new(text.clone()) {
            prop_assert_eq!(path.as_str(), &text);
            let below = Path::new("/root/of/it").join(path.as_str());
            prop_assert!(below.starts_with("/root/of/it"));
            let parts: Vec<_> = Path::new(path.as_str()).components().collect();
            prop_assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))));
            prop_assert_eq!(parts.len(), text.split('/').count());
        }
    }

    #[test]
    fn plain_paths_are_accepted(parts in prop::collection::vec("[a-z0-9_.-]{1,20}[a-z]", 1..6)) {
        let text = parts.join("/");
        let path = MemberPath::new(text.clone()).unwrap();
        prop_assert_eq!(path.as_str(), &text);
    }

    #[test]
    fn twins_fold_together(text in "[a-zA-Zäöüßéσς]{1,10}") {
        let key = |text: &str| MemberPath::new(text).map(|path| path.folded());
        if let (Ok(one), Ok(upper), Ok(lower)) = (key(&text), key(&text.to_uppercase()), key(&text.to_lowercase())) {
            prop_assert_eq!(&one, &upper);
            prop_assert_eq!(&one, &lower);
        }
    }

    #[test]
    fn digests_are_read_as_written(bytes: [u8; 32]) {
        let digest = Digest::from_bytes(bytes);
        prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        prop_assert_eq!(Digest::from_hex(&digest.hex()).unwrap(), digest);
    }

    #[test]
    fn texts_that_are_no_digest_or_platform_are_refused_without_a_panic(text in "\\PC{0,80}") {
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.to_string(), text.clone());
        }
        if let Ok(platform) = text.parse::<Platform>() {
            prop_assert_eq!(platform.to_string(), text);
        }
    }

    #[test]
    fn any_files_survive_the_archive(files in prop::collection::btree_map("[a-zé]{1,60}(/[a-z]{1,120}){0,3}", prop::collection::vec(any::<u8>(), 0..2000), 0..5)) {
        let mut sample = Sample::empty();
        for (name, bytes) in &files {
            sample.put(&format!("files/{name}"), Kind::File, 0o644, bytes);
        }
        let sample = sample.sealed();
        // A file that is another's directory is the one thing that cannot be.
        prop_assume!(sample.index.validate().is_ok());
        let (archive, _) = sample.write(Compression::None);
        let mut reader = crate::reader(Cursor::new(archive)).unwrap();
        while let Some(mut entry) = reader.next_entry().unwrap() {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            prop_assert_eq!(&bytes, &sample.bytes[&entry.member().path]);
        }
        reader.finish().unwrap();
    }

    #[test]
    fn noise_is_refused_without_a_panic(noise in prop::collection::vec(any::<u8>(), 0..3000), start in 0_usize..4) {
        let magic: [&[u8]; 4] = [b"", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"bundle.json"];
        let bytes = [magic[start], &noise].concat();
        prop_assert!(crate::reader(Cursor::new(bytes)).is_err());
    }
}

//! The doors of `fuzz/` into this crate, with what must hold behind them for any bytes at all. The unit test sends the seeds
//! through, finds of earlier runs among them.

use crate::{Keys, SignatureForm};

/// What takes any bytes, and panics where something does not hold.
pub type Door = fn(&[u8]);

/// The parsers by the names of their seeds' folders.
pub const TARGETS: [(&str, Door); 2] = [("signature", signature), ("signers", signers)];

const NAMESPACE: &str = "bundle";
/// What was signed.
const BYTES: &[u8] = br#"{"format":1,"name":"sample"}"#;
/// Some day in 2026.
const NOW: i64 = 1_796_029_200;
/// Public keys, and all that their private halves have ever signed.
const SSH: &str = include_str!("../tests/ssh/maker.pub");
const BY_SSH: &str = include_str!("../tests/ssh/signed.sig");
const MINISIGN: &str = include_str!("../tests/minisign/public.pub");
const BY_MINISIGN: [&str; 2] = [
    include_str!("../tests/minisign/signed.sig"),
    include_str!("../tests/minisign/legacy.sig"),
];

/// Files of signatures: nothing is taken but the very files that were signed.
fn signature(bytes: &[u8]) {
    let form = SignatureForm::of(bytes);
    for (keys, signed) in [(SSH, &[BY_SSH][..]), (MINISIGN, &BY_MINISIGN)] {
        let keys = Keys::parse(keys.as_bytes()).expect("public keys");
        let known = signed.iter().any(|signed| signed.as_bytes() == bytes);
        let taken = keys.verify(bytes, NAMESPACE, BYTES, NOW).is_ok();
        assert_eq!(
            taken, known,
            "an altered signature was taken, or a good one was not"
        );
        assert!(keys.verify(bytes, "other", b"other", NOW).is_err());
        assert!(!taken || form.is_ok());
    }
}

/// Files of keys: a signature counts only where its key stands there, and line ends change nothing.
fn signers(bytes: &[u8]) {
    let taken = |bytes: &[u8]| {
        Keys::parse(bytes).is_ok_and(|keys| {
            let signed = [BY_SSH].into_iter().chain(BY_MINISIGN);
            let good = |signed: &str| keys.verify(signed.as_bytes(), NAMESPACE, BYTES, NOW).is_ok();
            signed.into_iter().any(good)
        })
    };
    let text = String::from_utf8_lossy(bytes);
    let known = [SSH, MINISIGN].map(|file| file.split_ascii_whitespace().max_by_key(|word| word.len()));
    let stands = known.into_iter().flatten().any(|key| text.contains(key));
    let is_taken = taken(bytes);
    assert!(!is_taken || stands, "a key that does not stand there was taken");
    if is_taken && !text.contains('\r') {
        assert!(taken(text.replace('\n', "\r\n").as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_hold_holds_for_every_seed() {
        for (name, target) in TARGETS {
            let folder = format!("{}/../fuzz/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
            let seeds = std::fs::read_dir(&folder)
                .unwrap()
                .map(|seed| seed.unwrap().path());
            let seeds: Vec<_> = seeds.collect();
            assert!(!seeds.is_empty(), "{folder} is empty");
            for seed in seeds {
                target(&std::fs::read(seed).unwrap());
            }
        }
    }

    #[test]
    fn the_seeds_are_taken_at_all() {
        for (keys, signed) in [
            (SSH, BY_SSH),
            (MINISIGN, BY_MINISIGN[0]),
            (MINISIGN, BY_MINISIGN[1]),
        ] {
            let keys = Keys::parse(keys.as_bytes()).unwrap();
            assert!(keys.verify(signed.as_bytes(), NAMESPACE, BYTES, NOW).is_ok());
        }
    }
}

//! Blobs whose bytes have the right hash and still do not say what the index says of them.

use std::io::{Cursor, Write as _};

use bundle::{Digest, ReadError};
use flate2::write::GzEncoder;

use crate::forged::{archive, honest, members, refused};
use crate::sample::Sample;

#[test]
fn an_unpacked_estimate_that_lies_is_refused() {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&[0; 5000]).unwrap();
    let layers = [
        (b"a plain layer".to_vec(), 13),
        (gzip.finish().unwrap(), 5000),
        (zstd::bulk::compress(&[0; 5000], 3).unwrap(), 5000),
    ];
    for (layer, unpacked) in layers {
        for (said, good) in [(Some(unpacked), true), (None, true), (Some(unpacked - 1), false)] {
            let mut sample = Sample::empty();
            sample.image("docker.io/library/alone:1", &[&layer], false);
            sample.index.images[0].platforms[0].layers[0].unpacked = said;
            let bytes = archive(&members(&sample.sealed()));
            if good {
                crate::reader(Cursor::new(bytes)).unwrap().finish().unwrap();
            } else {
                let error = refused(&bytes);
                assert!(matches!(error, ReadError::Document { .. }), "{error}");
                assert_eq!(
                    error.member(),
                    Some(format!("blobs/sha256/{}", Digest::of(&layer).hex()).as_str())
                );
            }
        }
    }
}

#[test]
fn documents_must_say_what_the_index_says() {
    type Alter = fn(&mut Sample);
    let cases: [(Alter, &str); 4] = [
        (
            |s| s.index.images[0].platforms[0].layers.reverse(),
            "the manifest has the layer",
        ),
        (
            |s| s.index.images[0].platforms[0].layers.truncate(1),
            "the manifest has 2 layers, bundle.json says 1",
        ),
        (
            |s| s.index.images[0].platforms[0].layers[0].diff_id = Digest::of("x"),
            "diff_ids",
        ),
        (
            |s| s.index.images[1].platforms[0].manifest = s.index.images[0].digest,
            "does not list",
        ),
    ];
    for (alter, reason) in cases {
        let (mut sample, _) = honest();
        alter(&mut sample);
        let text = refused(&archive(&members(&sample.sealed()))).to_string();
        assert!(text.contains(reason), "{text:?} does not say {reason:?}");
    }
}

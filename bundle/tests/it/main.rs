//! Tests of the format as its users see it: archives written, read, attacked and unpacked on disk.

#[cfg(test)]
mod contents;
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod forged;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod index;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod stored;
#[cfg(test)]
mod unpacked;
#[cfg(test)]
mod written;

#[cfg(test)]
use {
    bundle::{BundleFile, Checked, Depth, Event, ReadError, Reader, Source, Trust, Unpacked},
    std::path::Path,
};

/// Opens a stream, whoever made the bundle.
#[cfg(test)]
fn reader(input: impl std::io::Read + Send + 'static) -> Result<Reader, ReadError> {
    Reader::open(Source::stream("stream", input), &Trust::any())
}

/// Opens a file or a directory, whoever made the bundle.
#[cfg(test)]
fn open(path: impl AsRef<Path>) -> Result<BundleFile, ReadError> {
    BundleFile::open(Source::at(path.as_ref()), &Trust::any(), tempfile::tempfile)
}

/// Checks a file or a directory, whoever made the bundle.
#[cfg(test)]
fn check(path: &Path, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Checked, ReadError> {
    bundle::check(Source::at(path), &Trust::any(), Depth::Bytes, on_event)
}

/// Unpacks a file or a directory, whoever made the bundle.
#[cfg(test)]
fn unpack(path: &Path, target: &Path, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Unpacked, ReadError> {
    bundle::unpack(Source::at(path), &Trust::any(), target, on_event)
}

//! Tests of the format as its users see it: archives written, read, attacked and unpacked on disk.

#[cfg(test)]
mod sample;
#[cfg(test)]
mod written;

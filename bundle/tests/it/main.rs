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
mod stored;
#[cfg(test)]
mod unpacked;
#[cfg(test)]
mod written;

//! What an ELF header says of a program: its platform, and whether it needs a dynamic linker. Pure.
//! (System V ABI, ELF header; machine numbers of the gABI registry.)

use bundle::Platform;

/// Only so many bytes of a program are looked at: headers stand at the beginning.
pub(crate) const HEAD: usize = 64 << 10;

const PT_INTERP: u32 = 3;

/// A file that is no program for a node.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ElfError {
    #[error("it is no Linux program (ELF)")]
    NoElf,
    #[error("its machine type {0} is not known here")]
    Machine(u16),
    #[error("it is not statically linked, so it would not run on every node")]
    Dynamic,
    #[error("its program headers are damaged")]
    Damaged,
}

/// Reads numbers in the file's own width and byte order.
struct Header<'a> {
    bytes: &'a [u8],
    wide: bool,
    little: bool,
}

impl Header<'_> {
    fn number(&self, offset: usize, width: usize) -> Option<u64> {
        let bytes = self.bytes.get(offset..offset.checked_add(width)?)?;
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.little {
            bytes.iter().rev().fold(0, join)
        } else {
            bytes.iter().fold(0, join)
        })
    }

    fn usize(&self, offset: usize, width: usize) -> Option<usize> {
        self.number(offset, width)
            .and_then(|number| usize::try_from(number).ok())
    }
}

/// Returns the platform of a static program from its first bytes.
pub(crate) fn platform(head: &[u8]) -> Result<Platform, ElfError> {
    if head.len() < 52 || !head.starts_with(b"\x7fELF") {
        return Err(ElfError::NoElf);
    }
    let header = Header {
        bytes: head,
        wide: head[4] == 2,
        little: head[5] == 1,
    };
    let machine = header
        .number(18, 2)
        .and_then(|machine| u16::try_from(machine).ok())
        .ok_or(ElfError::Damaged)?;
    let (architecture, variant) = match (machine, header.little) {
        (62, true) => ("amd64", None),
        (183, true) => ("arm64", None),
        (40, true) => ("arm", Some("v7")),
        (3, true) => ("386", None),
        (243, true) => ("riscv64", None),
        (21, true) => ("ppc64le", None),
        (22, false) => ("s390x", None),
        _ => return Err(ElfError::Machine(machine)),
    };
    if is_dynamic(&header).ok_or(ElfError::Damaged)? {
        return Err(ElfError::Dynamic);
    }
    Ok(Platform {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.map(str::to_owned),
    })
}

/// Returns whether a program header asks for an interpreter; none where the headers are not in the file's head.
fn is_dynamic(header: &Header<'_>) -> Option<bool> {
    let (offset, size, count) = if header.wide {
        (header.usize(32, 8)?, header.usize(54, 2)?, header.usize(56, 2)?)
    } else {
        (header.usize(28, 4)?, header.usize(42, 2)?, header.usize(44, 2)?)
    };
    for entry in 0..count {
        let at = entry.checked_mul(size)?.checked_add(offset)?;
        if header.number(at, 4)? == u64::from(PT_INTERP) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a 64-bit little-endian header with one program header.
    fn elf(machine: u16, kind: u32) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(120, 0);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes
    }

    #[test]
    fn a_static_program_names_its_platform() {
        assert_eq!(platform(&elf(62, 1)).unwrap().to_string(), "linux/amd64");
        assert_eq!(platform(&elf(183, 1)).unwrap().to_string(), "linux/arm64");
    }

    #[test]
    fn what_would_not_run_everywhere_is_refused() {
        assert_eq!(platform(&elf(62, PT_INTERP)), Err(ElfError::Dynamic));
        assert_eq!(platform(&elf(999, 1)), Err(ElfError::Machine(999)));
        assert_eq!(platform(b"#!/bin/sh\n"), Err(ElfError::NoElf));
        assert_eq!(platform(&elf(62, 1)[..60]), Err(ElfError::Damaged));
    }

    #[test]
    fn this_very_test_is_a_dynamic_or_static_program_of_this_platform() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        match platform(&own[..HEAD]) {
            Ok(found) => assert_eq!(found, Platform::current()),
            Err(error) => assert_eq!(error, ElfError::Dynamic),
        }
    }
}

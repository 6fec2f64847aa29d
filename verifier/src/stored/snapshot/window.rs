//! The last pages of a stream, as long as one is not whole yet that goes on over several. What looks like the first of several
//! may be an old page, and those behind it may be others by now: so each page is looked at by itself too.

use std::collections::VecDeque;

/// A page that goes on for longer is not read. The largest object that etcd takes by default has 1.5 MiB.
const LONGEST: usize = 64 << 20;
/// More pages that are not whole yet are not read: old ones lie over each other now and then.
const OPEN: usize = 1000;

/// The pages.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// The page with which `bytes` begins.
    from: u64,
    page_size: usize,
    /// Those that are not whole yet, by their first and last page.
    open: VecDeque<(u64, u64)>,
}

impl Window {
    /// Takes a page that may be the first of several. `whole` gets each that is whole now.
    pub(super) fn open(&mut self, id: u64, overflow: u32, bytes: &[u8], whole: &mut impl FnMut(u64, &[u8])) {
        let length = (u64::from(overflow) + 1).saturating_mul(bytes.len() as u64);
        if overflow == 0 {
            whole(id, bytes);
        } else if length <= LONGEST as u64 && self.open.len() < OPEN {
            if self.open.is_empty() {
                self.from = id;
                self.page_size = bytes.len();
            }
            self.open.push_back((id, id + u64::from(overflow)));
        }
        self.page(id, bytes, whole);
    }

    /// Takes a page that is none, or part of one.
    pub(super) fn page(&mut self, id: u64, bytes: &[u8], whole: &mut impl FnMut(u64, &[u8])) {
        if self.open.is_empty() {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        for (first, last) in &self.open {
            if *last == id {
                whole(*first, &self.bytes[self.at(*first)..]);
            }
        }
        self.open.retain(|(_, last)| *last > id);
        match self.open.front() {
            None => {
                self.bytes.clear();
                // One large object must not hold its memory for all that come.
                self.bytes.shrink_to(1 << 20);
            }
            Some((first, _)) => {
                let unused = self.at(*first);
                if unused > self.bytes.len() / 2 {
                    self.bytes.drain(..unused);
                    self.from = *first;
                }
            }
        }
    }

    fn at(&self, page: u64) -> usize {
        usize::try_from(page - self.from).unwrap_or_default() * self.page_size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_go_on_are_given_whole_also_where_old_ones_lie_over_them() {
        let mut window = Window::default();
        let mut seen = Vec::new();
        let overflows = [None, Some(2), Some(0), Some(3), None, None, None, Some(0)];
        for (id, overflow) in overflows.into_iter().enumerate() {
            let bytes = [u8::try_from(id).unwrap(); 4];
            let mut whole = |id: u64, bytes: &[u8]| seen.push((id, bytes.to_vec()));
            match overflow {
                Some(overflow) => window.open(id as u64, overflow, &bytes, &mut whole),
                None => window.page(id as u64, &bytes, &mut whole),
            }
        }
        let expected: Vec<(u64, Vec<u8>)> = vec![
            (2, vec![2; 4]),
            (1, [[1; 4], [2; 4], [3; 4]].concat()),
            (3, [[3; 4], [4; 4], [5; 4], [6; 4]].concat()),
            (7, vec![7; 4]),
        ];
        assert_eq!(seen, expected);
        assert!(window.bytes.is_empty() && window.open.is_empty());
    }

    #[test]
    fn what_claims_to_go_on_for_ever_takes_no_memory() {
        let mut window = Window::default();
        for id in 0..10_000_u64 {
            window.open(id, u32::MAX, &[0; 4096], &mut |_, _| panic!("whole"));
        }
        assert!(window.bytes.is_empty());
        // Each begins before the one before it ended.
        for id in 0..10_000_u64 {
            window.open(id, 100, &[0; 4096], &mut |_, _| {});
        }
        assert!(window.bytes.capacity() < 4 << 20, "{}", window.bytes.capacity());
    }
}

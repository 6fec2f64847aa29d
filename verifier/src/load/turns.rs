//! Who holds up whom. All hosts get the same bytes at the same time, so that the rate of one says nothing of it: what
//! tells is how long the others had to wait for it. Pure.

use std::time::Duration;

/// Why a host is left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// It took nothing for too long.
    Stalled,
    /// It took too little, while others waited for it.
    Slow {
        /// What it took.
        bytes_a_second: u64,
    },
}

/// How a host took its bytes in a window of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turns {
    /// The bytes that it took.
    taken: u64,
    /// How long it was waited for.
    waited: Duration,
}

impl Turns {
    /// How long is looked at together: a node that writes a large blob to its disk is silent for a while.
    pub(super) const WINDOW: Duration = Duration::from_mins(1);
    /// Who takes so much a second is not left behind, however fast the others are.
    const LEAST: u64 = 1 << 20;
    /// So many times longer than for the median host was waited for one that is left behind.
    const TIMES: u32 = 10;

    /// Counts a chunk that was taken after it had been waited for.
    pub(super) fn took(&mut self, bytes: usize, waited: Duration) {
        self.taken += bytes as u64;
        self.waited += waited;
    }

    /// Returns for each host what it took a second, if it is to be left behind: it took less than the least rate, the pass
    /// waited for it most of the window, and ten times longer than for the median. Where all are slow it is the way to
    /// them, or there is but one: nobody is held up, and nobody is left.
    pub(super) fn slow(hosts: &[Self], window: Duration) -> Vec<Option<u64>> {
        let mut waits: Vec<Duration> = hosts.iter().map(|host| host.waited).collect();
        waits.sort_unstable();
        let Some(median) = waits.get(waits.len().saturating_sub(1) / 2) else {
            return Vec::new();
        };
        let seconds = window.as_secs().max(1);
        let judge = |host: &Self| {
            let rate = host.taken / seconds;
            let holds_up = hosts.len() > 1 && host.waited * 2 > window;
            let slow = holds_up && host.waited > *median * Self::TIMES && rate < Self::LEAST;
            slow.then_some(rate)
        };
        hosts.iter().map(judge).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn slow(hosts: &[(u64, u64)]) -> Vec<Option<u64>> {
        let hosts = hosts.iter().map(|(taken, waited)| Turns {
            taken: taken * MIB,
            waited: Duration::from_secs(*waited),
        });
        Turns::slow(&hosts.collect::<Vec<_>>(), Duration::from_mins(1))
    }

    #[test]
    fn who_holds_up_the_others_is_left_behind_with_its_rate() {
        assert_eq!(slow(&[(3, 0), (3, 58)]), [None, Some(3 * MIB / 60)]);
        assert_eq!(
            slow(&[(3, 58), (3, 1), (3, 0), (3, 57)]),
            [Some(52_428), None, None, Some(52_428)]
        );
    }

    #[test]
    fn nobody_is_left_behind_by_a_way_that_is_slow_for_all_nor_alone_nor_at_a_good_rate() {
        assert_eq!(slow(&[(3, 50), (3, 58), (3, 55)]), [None; 3]);
        assert_eq!(slow(&[(3, 58)]), [None]);
        assert_eq!(slow(&[(90, 0), (90, 58)]), [None; 2]);
        assert_eq!(slow(&[(20, 0), (20, 20)]), [None; 2]);
        assert_eq!(slow(&[]), []);
    }
}

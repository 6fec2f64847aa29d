//! How many files the program may have open: a login to a host takes a few, and shells start programs with 1,024 as of old.

use std::error::Error;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than any run needs. Not the hard limit whatever it is: programs that we start inherit it, and some walk through all
/// numbers up to it.
const ENOUGH: u64 = 65_536;

/// Raises the soft limit to the hard one, but not beyond what is enough; a higher one stays.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if let Some(current) = raised(limit.current, limit.maximum) {
        let maximum = limit.maximum;
        let current = Some(current);
        // With the old one the program does what it can, and says where that is too little.
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
    }
}

/// Returns the soft limit to set; none where it is high enough. Without a limit there is none to raise.
fn raised(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
    let wanted = maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    current.filter(|current| *current < wanted).map(|_| wanted)
}

/// Returns what to do about an error whose cause is that no more files may be opened.
pub(crate) fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let code = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::raw_os_error);
        // EMFILE, ENFILE.
        if matches!(code, Some(24 | 23)) {
            let limit = getrlimit(Resource::Nofile).current;
            let limit = limit.map_or_else(|| "any number of".to_owned(), |limit| limit.to_string());
            return Some(format!(
                "this machine lets the program open {limit} files: raise that, for example by `ulimit -Hn 4096` as root"
            ));
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_is_allowed_and_enough_and_never_lowered() {
        assert_eq!(raised(Some(1024), Some(524_288)), Some(65_536));
        assert_eq!(raised(Some(1024), Some(4096)), Some(4096));
        assert_eq!(raised(Some(1024), None), Some(65_536));
        assert_eq!(raised(Some(24), Some(24)), None);
        assert_eq!(raised(Some(1_000_000), Some(1_000_000)), None);
        assert_eq!(raised(None, None), None);
    }

    #[test]
    fn an_error_that_comes_of_too_few_files_says_what_to_do() {
        let none = io::Error::from_raw_os_error(24);
        assert!(hint(&none).is_some_and(|hint| hint.contains("ulimit -Hn")));
        assert_eq!(hint(&io::Error::from_raw_os_error(2)), None);
    }
}

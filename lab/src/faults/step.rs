//! One thing that is done to plant a fault, or to heal it.

use crate::images::Served;

/// One thing that is done.
#[derive(Debug)]
pub enum Step {
    /// Another fault is planted, or healed, whole.
    Plant(&'static str),
    /// See [`Step::Plant`].
    Heal(&'static str),
    /// A POSIX shell script runs as root on a host and ends at its first failing command.
    Run {
        /// The host.
        host: &'static str,
        /// The script.
        script: &'static str,
    },
    /// An image of the lab's is written to a host as an OCI archive.
    Image {
        /// The host.
        host: &'static str,
        /// Which image.
        image: Served,
        /// Where it is written.
        path: &'static str,
    },
    /// A certificate of the cluster's own CA is issued to a host.
    Certificate {
        /// The host.
        host: &'static str,
        /// Whom it names.
        subject: Named,
        /// Whether it is still good.
        age: Age,
        /// Where it is written: `.crt` and `.key` are added.
        path: &'static str,
    },
    /// openssl makes certificates and keys beside the cluster's CA, which are sent to `/run/lab-made` on a host.
    Made {
        /// The host.
        host: &'static str,
        /// The script that makes them: see `made`.
        script: &'static str,
    },
    /// The lab's own KMS plugin is written to a host, built where it is not in the cache.
    Plugin {
        /// The host.
        host: &'static str,
        /// Where it is written.
        path: &'static str,
    },
}

/// Whom a fault's certificate names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The kubelet of this node.
    Kubelet(&'static str),
    /// The administrator.
    Admin,
}

/// How old a fault's certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Good.
    Good,
    /// Over since an hour ago.
    Expired,
    /// Over in twenty days, after most of a year.
    Ending,
    /// Not begun: tomorrow it is good.
    Early,
}

pub(super) const fn run(host: &'static str, script: &'static str) -> Step {
    Step::Run { host, script }
}

pub(super) const fn made(host: &'static str, script: &'static str) -> Step {
    Step::Made { host, script }
}

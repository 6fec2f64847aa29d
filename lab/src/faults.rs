//! Faults as data: how each is planted in a real lab, how it is healed, and what the verifier must then say.
//!
//! Plants nothing but what its own list says, and remembers it in the lab's directory until it is healed.

mod access;
mod addons;
mod api;
mod audits;
mod authorities;
mod called;
mod certs;
mod control_plane;
mod dns;
mod encryption;
mod expect;
mod hosts;
mod images;
mod in_cluster;
mod issued;
mod kubeconfigs;
mod made;
mod members;
mod network;
mod nodes;
mod patient;
mod servers;
mod starts;
mod step;
mod storage;
mod stored;
mod together;
mod unusual;
mod ways;

use expect::{
    ASKS_THE_API, NODE_0_UNREACHED, OF_THE_API, PODS_OF_NODE_0, PODS_OF_NODE_1, RUNTIME_OF_NODE_1,
    WAYS_TO_PODS, anywhere, errs, errs_on, fails, fails_cluster, on, warns, warns_cluster,
};
pub use expect::{Expectation, Touch, matches};
use patient::Patient;
pub use step::{Age, Named, Step};
use step::{made, run};

use crate::kubernetes::wait_ready;
use crate::{Error, Lab, Options};

/// A fault of a cluster.
#[derive(Debug)]
pub struct Fault {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What is wrong then, in one line.
    pub summary: &'static str,
    /// What is done, in this order.
    pub plant: &'static [Step],
    /// What undoes it. Each step also works where its fault was planted only in part.
    pub heal: &'static [Step],
    /// What a run of the verifier must say: each of these.
    pub expect: &'static [Expectation],
    /// What else it may disturb. All other checks must pass, or be skipped.
    pub touches: &'static [Touch],
    /// Patterns of ids that may not pass anywhere: where it makes the truth unknowable.
    pub never_passes: &'static [&'static str],
    /// What it needs of a lab.
    pub needs: Needs,
    /// Which command must find it.
    pub asked: Asked,
}

impl Fault {
    /// What a fault is where it says nothing else.
    const NONE: Self = Self {
        name: "",
        summary: "",
        plant: &[],
        heal: &[],
        expect: &[],
        touches: &[],
        never_passes: &[],
        needs: Needs::Nothing,
        asked: Asked::Suite,
    };
}

/// Which command of the verifier must find a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `smoke`.
    Suite,
    /// `audit certs`.
    Certificates,
    /// `audit images`, with a site whose images are to be exactly the bundle's.
    Images,
}

/// What a fault needs to mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing beyond a ready cluster.
    Nothing,
    /// The images of a bundle, loaded on every node.
    Images,
    /// Hosts that were made with `--hardened`.
    Hardened,
    /// Three servers, made with `--servers 3`.
    Servers,
    /// A DNS of the cluster's own, made with `--dns`.
    Dns,
}

impl Needs {
    /// The kinds of labs that faults are planted in.
    pub const LABS: [Self; 4] = [Self::Nothing, Self::Hardened, Self::Servers, Self::Dns];

    /// Returns the kind of lab that has it.
    #[must_use]
    pub const fn lab(self) -> Self {
        match self {
            Self::Nothing | Self::Images => Self::Nothing,
            other => other,
        }
    }

    /// Returns a lab of that kind.
    pub fn options(self, name: &str) -> Options {
        Options {
            name: name.to_owned(),
            hardened: self == Self::Hardened,
            dns: self == Self::Dns,
            servers: if self == Self::Servers { 3 } else { 1 },
            ..Options::default()
        }
    }
}

/// Ends a plant: what is younger than half a minute counts as being on its way.
macro_rules! no_longer_young {
    () => {
        "sleep 32"
    };
}
use no_longer_young;

/// Starts containerd and, when it answers, the kubelet: one that comes first ends, and comes again only after 5 s.
macro_rules! start_runtime {
    () => {
        "systemctl reset-failed containerd kubelet; systemctl start containerd; \
         timeout 30 sh -c 'until /opt/containerd/bin/ctr version >/dev/null 2>&1; do sleep 0.1; done'; \
         systemctl start kubelet"
    };
}
use start_runtime;

/// Returns every fault, in the order of its list.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    let lists = [
        hosts::FAULTS,
        control_plane::FAULTS,
        in_cluster::FAULTS,
        access::FAULTS,
        api::FAULTS,
        nodes::FAULTS,
        certs::FAULTS,
        issued::FAULTS,
        kubeconfigs::FAULTS,
        authorities::FAULTS,
        members::FAULTS,
        ways::FAULTS,
        network::FAULTS,
        images::FAULTS,
        addons::FAULTS,
        starts::FAULTS,
        storage::FAULTS,
        dns::FAULTS,
        servers::FAULTS,
        stored::FAULTS,
        encryption::FAULTS,
        together::FAULTS,
        audits::FAULTS,
        called::FAULTS,
    ];
    lists.into_iter().flatten()
}

/// Returns what is unusual at a site and not wrong. It is planted and healed as faults are.
pub fn unusual() -> impl Iterator<Item = &'static Fault> {
    unusual::UNUSUAL.iter().chain(encryption::UNUSUAL)
}

/// Returns the fault of this name, or what is only unusual.
pub fn find(name: &str) -> Result<&'static Fault, Error> {
    let both = || all().chain(unusual());
    both().find(|fault| fault.name == name).ok_or_else(|| {
        let known: Vec<&str> = both().map(|fault| fault.name).collect();
        Error::Options(format!("no fault {name:?}; there are {}", known.join(", ")))
    })
}

impl Lab {
    /// Plants a fault. It counts as planted from its first step on.
    pub fn plant(&self, fault: &Fault) -> Result<(), Error> {
        let on = |host: &str, argv: &[&str]| self.command(host, argv);
        Patient {
            on: &on,
            paths: self.paths(),
        }
        .plant(fault)
    }

    /// Heals everything that was planted, the last first, waits until the nodes are Ready, and returns the names.
    pub fn heal(&self) -> Result<Vec<String>, Error> {
        let on = |host: &str, argv: &[&str]| self.command(host, argv);
        let paths = self.paths();
        let healed = Patient { on: &on, paths }.heal()?;
        if !healed.is_empty() {
            wait_ready(self.layout(), &on, &|_| {})?;
        }
        Ok(healed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::run;

    #[test]
    fn every_fault_has_a_name_of_its_own_a_cure_and_an_expectation() {
        let names: Vec<&str> = all().map(|fault| fault.name).collect();
        assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len());
        for fault in all() {
            assert!(
                !fault.plant.is_empty() && !fault.heal.is_empty(),
                "{}",
                fault.name
            );
            assert!(
                !fault.expect.is_empty() && !fault.summary.is_empty(),
                "{}",
                fault.name
            );
            assert!(find(fault.name).is_ok());
        }
    }

    #[test]
    fn an_unknown_fault_is_answered_with_the_known_ones() {
        let error = find("nothing").unwrap_err().to_string();
        assert!(error.contains("kubelet-stopped"), "{error}");
    }

    #[test]
    fn scripts_are_shell() {
        let scripts = all()
            .chain(unusual())
            .flat_map(|fault| fault.plant.iter().chain(fault.heal));
        for step in scripts {
            if let Step::Run { script, .. } | Step::Made { script, .. } = step {
                run::feed(std::process::Command::new("sh").arg("-n"), script.as_bytes()).unwrap();
            }
        }
    }
}

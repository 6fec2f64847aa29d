//! What the judges of certificates look at: what a host has, what others believe, the time.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::certs::{
    Certificate, Days, Distant, Elsewhere, Moment, Place, Purpose, Scene, Use, is_of_api, purpose,
};
use crate::findings::Finding;
use crate::protocol::{ASKED, CertificatesReply};
use crate::site::Host;

/// What the judges look at.
pub(super) struct View<'a> {
    /// What the host has.
    pub(super) scene: Scene<'a>,
    /// What programs on other hosts believe and call.
    pub(super) elsewhere: &'a Elsewhere,
    believed: Vec<Option<Certificate>>,
    /// The host, as findings name it.
    pub(super) name: &'a str,
    /// The host, where it is one of the site's.
    pub(super) host: Option<&'a Host>,
    /// The time.
    pub(super) now: i64,
    /// How close an end may come.
    pub(super) days: Days,
}

/// Whom the programs of a host believe.
pub(super) struct Believer<'a> {
    /// The host.
    pub(super) host: &'a str,
    /// The authorities.
    pub(super) believed: Vec<&'a Certificate>,
}

/// What a check of certificates keeps.
#[derive(Serialize, Deserialize)]
pub(super) struct Facts {
    /// The verifier's clock, in seconds since the epoch.
    pub(super) now: i64,
    pub(super) days: Days,
    pub(super) own: CertificatesReply,
    /// What other hosts believe, serve and sign.
    pub(super) elsewhere: Elsewhere,
}

impl Facts {
    /// Returns what there was at a time.
    pub(super) fn at(now: Timestamp, days: Days, own: CertificatesReply, elsewhere: Elsewhere) -> Self {
        Self {
            now: now.as_second(),
            days,
            own,
            elsewhere,
        }
    }

    /// Returns the view of the host, or of what else has that name.
    pub(super) fn view<'a>(&'a self, name: &'a str, host: Option<&'a Host>) -> View<'a> {
        let moment = Moment {
            now: self.now,
            days: self.days,
        };
        View::new(&self.own, &self.elsewhere, name, host, moment)
    }
}

impl<'a> View<'a> {
    /// Returns the view of a host.
    pub(super) fn new(
        reply: &'a CertificatesReply,
        elsewhere: &'a Elsewhere,
        name: &'a str,
        host: Option<&'a Host>,
        moment: Moment,
    ) -> Self {
        Self {
            scene: Scene::of(reply),
            believed: elsewhere.read(),
            elsewhere,
            name,
            host,
            now: moment.now,
            days: moment.days,
        }
    }

    /// Returns the certificates that somebody uses, where they stand.
    pub(super) fn in_use(&self) -> impl Iterator<Item = (&Place, &Certificate)> {
        let used = self.scene.places.iter().filter(|place| !place.uses.is_empty());
        used.filter_map(|place| Some((place, self.scene.certificate(place)?)))
    }

    /// Returns each use of a certificate by who must prove that it is its own.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&Place, &Use, &Certificate)> {
        self.in_use().flat_map(|(place, certificate)| {
            let own = place.uses.iter().filter(|used| used.purpose.has_key());
            own.map(move |used| (place, used, certificate))
        })
    }

    /// Returns who uses a certificate, in words: `kube-apiserver client-ca-file`.
    pub(super) fn users(&self, place: &Place) -> String {
        let mut users: Vec<String> = place.uses.iter().map(|used| self.user(used)).collect();
        users.sort();
        users.dedup();
        let more = users.len().saturating_sub(3);
        users.truncate(3);
        let list = users.join(", ");
        if more > 0 {
            format!("{list}, +{more}")
        } else {
            list
        }
    }

    /// Returns who uses it so, in words.
    pub(super) fn user(&self, used: &Use) -> String {
        self.scene.user(used)
    }

    /// Returns what programs of these names believe, here and elsewhere, by settings that `is` names, host by host: whom one of
    /// them believes another may refuse. Who believes nobody so is left out.
    pub(super) fn believers(
        &self,
        programs: &[&'static str],
        is: fn(&str, Purpose) -> bool,
        counts: impl Fn(&Distant) -> bool,
    ) -> Vec<Believer<'_>> {
        let mut found: Vec<Believer<'_>> = Vec::new();
        let mut add = |host, believed: Vec<_>| match found.iter_mut().find(|known| known.host == host) {
            Some(known) => known.believed.extend(believed),
            None if believed.is_empty() => {}
            None => found.push(Believer { host, believed }),
        };
        for program in programs {
            add(self.name, self.own_trusted(program, is));
            let named = |distant: &&Distant| distant.program == *program;
            for distant in self.elsewhere.programs.iter().filter(named) {
                if counts(distant) {
                    add(&distant.host, distant.trusted(&self.believed, is).collect());
                }
            }
        }
        found
    }

    /// Returns what programs of this host believe.
    fn own_trusted(&self, program: &str, is: impl Fn(&str, Purpose) -> bool) -> Vec<&Certificate> {
        let used = self.in_use().filter(|(place, _)| {
            place.uses.iter().any(|used| {
                self.scene.program(used).program == program
                    && used.purpose.is_trust()
                    && is(&used.setting, used.purpose)
            })
        });
        used.map(|(_, certificate)| certificate).collect()
    }

    /// Returns what this very program believes.
    pub(super) fn believed_by(&self, used: &Use, is: impl Fn(&str) -> bool) -> Vec<&Certificate> {
        let here = self.in_use().filter(|(place, _)| {
            let mut uses = place.uses.iter();
            uses.any(|other| other.program == used.program && other.purpose.is_trust() && is(&other.setting))
        });
        here.map(|(_, certificate)| certificate).collect()
    }

    /// Returns what API servers serve, here and elsewhere: each certificate with what is sent along. Of what a person named
    /// that is what is called so below the directory of `kubeconfig`: other trees may be those of other clusters.
    pub(super) fn served_by_api(&self, kubeconfig: &str) -> Vec<Vec<&Certificate>> {
        let folder = kubeconfig
            .rsplit_once('/')
            .map(|(folder, _)| format!("{folder}/"));
        let is_near = |path: &str| folder.as_ref().is_some_and(|folder| path.starts_with(folder));
        let is_api = |used: &Use| {
            let program = self.scene.program(used).program.as_str();
            used.purpose == Purpose::Serve
                && (program == "kube-apiserver"
                    || used.setting.ends_with("serving-kube-apiserver.crt")
                    || program == ASKED && is_of_api(&used.setting) && is_near(&used.setting))
        };
        let own = self.in_use().filter(|(place, _)| place.uses.iter().any(is_api));
        let mut served: Vec<Vec<&Certificate>> = own
            .map(|(place, leaf)| [leaf].into_iter().chain(self.scene.beside(place)).collect())
            .collect();
        let distant = self.elsewhere.programs.iter().flat_map(|distant| &distant.serves);
        served.extend(distant.map(|chain| {
            chain
                .iter()
                .filter_map(|place| self.believed.get(*place)?.as_ref())
                .collect()
        }));
        served
    }

    /// Returns a setting of API servers, here and elsewhere.
    pub(super) fn of_api_servers<'s>(&'s self, setting: &'s str) -> impl Iterator<Item = &'s str> + 's {
        let here = self
            .scene
            .reply
            .programs
            .iter()
            .filter(|program| program.program == "kube-apiserver");
        let here = here.filter_map(move |program| program.settings.get(setting));
        let distant = self
            .elsewhere
            .programs
            .iter()
            .filter_map(move |distant| distant.settings.get(setting));
        here.chain(distant).map(String::as_str)
    }

    /// Returns whether API servers check the certificates of kubelets.
    pub(super) fn api_checks_kubelets(&self) -> bool {
        let is = |setting: &str, _: Purpose| setting == "kubelet-certificate-authority";
        !self.believers(&["kube-apiserver"], is, |_| true).is_empty()
    }

    /// Returns all CAs that somebody believes here or elsewhere, or that sign here.
    pub(super) fn authorities(&self) -> Vec<&Certificate> {
        let trusts = |place: &Place| {
            place
                .uses
                .iter()
                .any(|used| used.purpose.is_trust() || used.purpose == Purpose::Sign)
        };
        let here = self
            .in_use()
            .filter(|(place, _)| trusts(place))
            .map(|(_, certificate)| certificate);
        let distant = self.elsewhere.programs.iter().flat_map(|distant| &distant.trusts);
        let distant = distant.filter(|trusted| purpose(&trusted.setting).is_some_and(Purpose::is_trust));
        let distant = distant
            .flat_map(|trusted| &trusted.certificates)
            .filter_map(|place| self.believed.get(*place)?.as_ref());
        let mut all: Vec<&Certificate> = here.chain(distant).collect();
        all.sort_by(|one, other| one.fingerprint.cmp(&other.fingerprint));
        all.dedup_by(|one, other| one.fingerprint.cmp(&other.fingerprint) == Ordering::Equal);
        all
    }
}

/// Adds a finding about a certificate where it stands.
pub(super) fn about(place: &Place, finding: Finding) -> Finding {
    finding.of(&place.name)
}

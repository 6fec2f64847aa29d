//! `certs.served`: what the components of a host really show to who calls, beside the files that they were given.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::certs::{Age, Certificate, Days, Listed, Place, Purpose, Scene, Standing, Use, date, read};
use crate::findings::{Evidence, Finding, Judged, Unjudged, cause, phrase};
use crate::protocol::{CertificateUser, CertificatesReply, Der, TlsPeek};
use crate::site::Host;
use crate::suite::{Check, Ctx, Expect, Lists, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Served>("certs.served", Scope::Host).listed::<Served>();

/// A component that answers takes milliseconds.
const WAIT: u64 = 5000;
/// More endpoints of a host are not asked.
const MOST: usize = 32;

struct Served;

#[derive(Serialize, Deserialize)]
struct Facts {
    now: i64,
    days: Days,
    endpoints: Vec<Shown>,
}

/// What one endpoint shows.
#[derive(Serialize, Deserialize)]
struct Shown {
    endpoint: Endpoint,
    /// What it shows, or why nothing was seen.
    seen: Result<Vec<Der>, String>,
}

/// Where a component serves, and what it was given for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Endpoint {
    program: String,
    to: SocketAddr,
    /// The file.
    path: String,
    /// The certificate in it.
    file: Vec<Der>,
}

impl Probe for Served {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, member: &Member) -> Result<Facts, Unjudged> {
        let host = ctx.host(member)?;
        let reply = ctx.fixtures().certificates(ctx).await.of(&host.name)?;
        let mut asks = Vec::new();
        for endpoint in endpoints(&reply, host) {
            asks.push(look(ctx, host, endpoint));
        }
        Ok(Facts {
            now: ctx.now().as_second(),
            days: ctx.days,
            endpoints: futures::future::join_all(asks).await,
        })
    }

    fn judge(facts: &Facts, expect: &Expect<'_>) -> Judged {
        let host = &expect.host()?.name;
        if facts.endpoints.is_empty() {
            return Err(Unjudged::skip(cause::NothingServes { host }));
        }
        // That a component does not answer its own check says, with the reason.
        if facts.endpoints.iter().all(|shown| shown.seen.is_err()) {
            let what = if facts
                .endpoints
                .iter()
                .any(|shown| shown.endpoint.program == "kubelet")
            {
                &"components.workers"
            } else {
                &"components.control-plane"
            };
            return Err(Unjudged::skip(cause::Needs { what }));
        }
        Ok(facts
            .endpoints
            .iter()
            .filter_map(|shown| of_endpoint(facts, shown, host))
            .collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let lines = facts.endpoints.iter().map(|shown| {
            let Endpoint {
                program, to, path, ..
            } = &shown.endpoint;
            match &shown.seen {
                Ok(_) => match leaf(shown) {
                    Some(leaf) => format!(
                        "{program} {to}: {}  {}  ({path})",
                        date(leaf.not_after),
                        leaf.subject
                    ),
                    None => format!("{program} {to}: ?"),
                },
                Err(why) => format!("{program} {why}"),
            }
        });
        Evidence::lines(phrase::CertificatesServed, lines)
            .into_iter()
            .collect()
    }
}

impl Lists for Served {
    fn list(facts: &Facts, expect: &Expect<'_>) -> Vec<Listed> {
        let Some(host) = expect.host else {
            return Vec::new();
        };
        let of = |shown: &Shown| {
            let mut listed = Listed::of(&leaf(shown)?, &shown.endpoint.to.to_string(), facts.now);
            listed.host = Some(cli::Shown::new(&host.name));
            listed.used_by = vec![cli::Shown::new(&format!("{} (TLS)", shown.endpoint.program))];
            listed.standing = match of_endpoint(facts, shown, &host.name).map(|finding| finding.severity) {
                None => Standing::Good,
                Some(crate::findings::Severity::Fail) => Standing::Fail,
                Some(_) => Standing::Warn,
            };
            Some(listed)
        };
        facts.endpoints.iter().filter_map(of).collect()
    }
}

async fn look(ctx: &Ctx, host: &Host, endpoint: Endpoint) -> Shown {
    let ask = TlsPeek {
        to: endpoint.to,
        name: None,
        timeout_millis: WAIT,
    };
    let asked = ctx.ask(&host.name, ask).await;
    let seen = asked.map(|reply| reply.certificates);
    let seen = seen.map_err(|failure| failure.message().unwrap_or_default().to_owned());
    Shown { endpoint, seen }
}

/// Returns the certificate that an endpoint shows.
fn leaf(shown: &Shown) -> Option<Certificate> {
    read(shown.seen.as_ref().ok()?.first()?)
}

fn of_endpoint(facts: &Facts, shown: &Shown, host: &str) -> Option<Finding> {
    let Endpoint {
        program,
        to,
        path,
        file,
    } = &shown.endpoint;
    if let Err(reason) = &shown.seen {
        let unseen = cause::CertServedUnseen {
            to,
            program,
            reason,
            host: &host,
        };
        return Some(Finding::error(unseen).of(to));
    }
    let Some(leaf) = leaf(shown) else {
        let broken = cause::CertServedBroken {
            to,
            program,
            what: &"-",
            host: &host,
        };
        return Some(Finding::fail(broken).of(to));
    };
    let age = facts.days.age(&leaf, facts.now, false);
    let given: Vec<Certificate> = file.iter().filter_map(read).collect();
    let is_given = given.iter().any(|given| given.fingerprint == leaf.fingerprint);
    // What stands in its file the check of files judges.
    if is_given || given.is_empty() && age == Age::Good {
        return None;
    }
    let (until, subject) = (&date(leaf.not_after), &leaf.subject);
    let given_until = &given
        .first()
        .map_or_else(|| "-".to_owned(), |given| date(given.not_after));
    let expired = || cause::CertServedExpired {
        to,
        program,
        subject,
        until,
        path,
        given_until,
        host: &host,
    };
    let finding = match age {
        Age::Over | Age::Early => Finding::fail(expired()),
        _ if given.is_empty() => Finding::warn(expired()),
        _ => Finding::warn(cause::CertServedOther {
            to,
            program,
            subject,
            until,
            path,
            given_until,
            host: &host,
        }),
    };
    Some(finding.of(to))
}

/// Returns where the components of a host serve TLS, and with what.
fn endpoints(reply: &CertificatesReply, host: &Host) -> Vec<Endpoint> {
    let scene = Scene::of(reply);
    let mut found: Vec<Endpoint> = Vec::new();
    for place in scene.places.iter().filter(|place| place.nth == 0) {
        for used in &place.uses {
            let program = scene.program(used);
            if program.pid.is_none() || used.setting == "tls-sni-cert-key" {
                continue;
            }
            for to in addresses(program, used, host) {
                let known = found.iter().any(|known| known.to == to);
                if !known && found.len() < MOST {
                    found.push(endpoint(&scene, place, program, to));
                }
            }
        }
    }
    found
}

fn endpoint(scene: &Scene<'_>, place: &Place, program: &CertificateUser, to: SocketAddr) -> Endpoint {
    Endpoint {
        program: program.program.clone(),
        to,
        path: place.name.clone(),
        file: vec![scene.reply.certificates[place.certificate].clone()],
    }
}

/// Returns where a program serves with a certificate.
fn addresses(program: &CertificateUser, used: &Use, host: &Host) -> Vec<SocketAddr> {
    let setting = |name: &str| program.settings.get(name).map(String::as_str);
    let one = |address: Option<&str>, port: Option<&str>, usual: u16| {
        let port = port.and_then(|port| port.parse().ok()).unwrap_or(usual);
        let address = address.and_then(|address| address.parse::<IpAddr>().ok());
        let own = host.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let address = address.filter(|address| !address.is_unspecified()).unwrap_or(own);
        vec![SocketAddr::new(address, port)]
    };
    let urls = |urls: Option<&str>| -> Vec<SocketAddr> {
        let urls = urls
            .unwrap_or_default()
            .split(',')
            .filter_map(|url| url.trim().strip_prefix("https://"));
        urls.filter_map(|address| address.trim_end_matches('/').parse::<SocketAddr>().ok())
            .map(|to| {
                let own = host.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
                if to.ip().is_unspecified() {
                    SocketAddr::new(own, to.port())
                } else {
                    to
                }
            })
            .collect()
    };
    match (program.program.as_str(), used.purpose) {
        ("kube-apiserver", Purpose::Serve) => one(setting("bind-address"), setting("secure-port"), 6443),
        ("kubelet", Purpose::Serve) => one(setting("address"), setting("port"), 10250),
        ("etcd", Purpose::Serve) => urls(setting("listen-client-urls")),
        ("etcd", Purpose::Peer) => urls(setting("listen-peer-urls")),
        ("k3s", Purpose::Serve) if used.setting.ends_with("serving-kubelet.crt") => one(None, None, 10250),
        ("k3s", Purpose::Serve) if used.setting.ends_with("dynamic-cert.json") => one(None, None, 6443),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    const NOW: i64 = 1_800_000_000;

    fn certificate(from: i32, until: i32) -> Der {
        let mut params = rcgen::CertificateParams::new(vec!["server".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = STANDARD.encode(params.self_signed(&key).unwrap().der());
        Der { der }
    }

    fn judge(file: &Der, seen: Result<Vec<Der>, String>) -> (Outcome, Option<CauseId>) {
        let endpoint = Endpoint {
            program: "kubelet".to_owned(),
            to: "192.168.10.101:10250".parse().unwrap(),
            path: "/var/lib/kubelet/kubelet.crt".to_owned(),
            file: vec![file.clone()],
        };
        let facts = Facts {
            now: NOW,
            days: Days::default(),
            endpoints: vec![Shown { endpoint, seen }],
        };
        judged::<Served>(&facts, &expect(&site(), "node-0"))
    }

    #[test]
    fn what_is_served_is_what_stands_in_the_file_or_it_was_not_loaded() {
        let (old, new, good) = (
            certificate(2020, 2026),
            certificate(2026, 2030),
            certificate(2026, 2031),
        );
        assert_eq!(judge(&new, Ok(vec![new.clone()])), (Outcome::Pass, None));
        assert_eq!(
            judge(&new, Ok(vec![good])),
            (Outcome::Warn, Some(CauseId::CertServedOther))
        );
        assert_eq!(
            judge(&new, Ok(vec![old])),
            (Outcome::Fail, Some(CauseId::CertServedExpired))
        );
        let garbage = Der {
            der: "AQID".to_owned(),
        };
        assert_eq!(
            judge(&new, Ok(vec![garbage])),
            (Outcome::Fail, Some(CauseId::CertServedBroken))
        );
    }

    #[test]
    fn an_endpoint_that_is_silent_belongs_to_its_component_s_check() {
        let file = certificate(2026, 2030);
        assert_eq!(
            judge(&file, Err("late".to_owned())),
            (Outcome::Skip, Some(CauseId::Needs))
        );
    }

    #[test]
    fn components_are_asked_where_they_listen() {
        let site = site();
        let program = |name: &str, settings: &[(&str, &str)]| CertificateUser {
            program: name.to_owned(),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            ..CertificateUser::default()
        };
        let used = |purpose| Use {
            program: 0,
            setting: "x".to_owned(),
            purpose,
        };
        let host = site.host("server").unwrap();
        let at = |program, purpose| {
            let found = addresses(&program, &used(purpose), host);
            found
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let api = program(
            "kube-apiserver",
            &[("bind-address", "0.0.0.0"), ("secure-port", "6444")],
        );
        assert_eq!(at(api, Purpose::Serve), "192.168.10.100:6444");
        let etcd = [
            ("listen-client-urls", "https://0.0.0.0:2379,http://127.0.0.1:2381"),
            ("listen-peer-urls", "https://10.0.0.1:2380"),
        ];
        assert_eq!(at(program("etcd", &etcd), Purpose::Serve), "192.168.10.100:2379");
        assert_eq!(at(program("etcd", &etcd), Purpose::Peer), "10.0.0.1:2380");
        assert_eq!(at(program("kube-scheduler", &[]), Purpose::Serve), "");
    }
}

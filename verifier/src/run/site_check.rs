//! A site file against what is there: every host and the API are asked, nothing is changed.

use std::time::{Duration, Instant};

use cli::chain;

use super::look::{ApiSeen, HostsSeen, compare, look};
use super::reach::{connect, open_api};
use super::steps::{self, Step};
use super::{Order, Run};
use crate::carrier::Hosts;
use crate::protocol::EtcdAnswer;
use crate::site::{Host, Role, Site};
use crate::suite::{Event, etcd_status};

/// How long etcd may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

impl Run {
    /// Compares the site file with what is there; the results are steps of the run.
    pub(super) async fn compare_site(&mut self, order: &Order) {
        let since = Instant::now();
        let told = self.events.clone();
        let say = |talk| told.nudge(Some(Event::Talk(talk)));
        let hosts = connect(&order.targets, &order.programs, &say).await;
        self.laps.end("connections");
        let site = &order.site;
        let (seen, api, etcd) =
            futures::join!(look(site, &hosts), ask_api(site, &hosts), silent(site, &hosts));
        let told = explained(etcd, &seen);
        for (host, findings) in compare(site, &api, &seen, &told) {
            let row = steps::row(Step::Site, host.as_deref(), findings, since.elapsed());
            self.step(row).await;
        }
        self.laps.end("comparison");
    }
}

async fn ask_api(site: &Site, hosts: &Hosts) -> Result<ApiSeen, String> {
    let api = open_api(site, hosts).await.map_err(|error| chain(&error))?;
    ApiSeen::ask(&api).await
}

/// Returns the hosts with etcd on which no endpoint of the site file answers, and why.
async fn silent(site: &Site, hosts: &Hosts) -> Vec<(String, String)> {
    let asked = site.with_role(Role::Etcd).map(|host| ask_etcd(site, host, hosts));
    futures::future::join_all(asked)
        .await
        .into_iter()
        .flatten()
        .collect()
}

async fn ask_etcd(site: &Site, host: &Host, hosts: &Hosts) -> Option<(String, String)> {
    // One that is not reached is told already.
    let agent = hosts.get(&host.name)?.ok()?;
    let ask = etcd_status(&site.etcd, site.etcd.endpoints.clone(), ANSWER);
    let reason = match agent.ask(ask, ANSWER * 2).await {
        Err(error) => chain(&error),
        Ok(answers) => {
            let answer = answers.into_iter().map(|one| one.answer);
            let mut reasons = Vec::new();
            for answer in answer {
                match answer {
                    EtcdAnswer::Member(_) => return None,
                    EtcdAnswer::Refused => reasons.push("refused".to_owned()),
                    EtcdAnswer::Broken { error } => reasons.push(error.to_string()),
                    EtcdAnswer::Silent => reasons.push("silent".to_owned()),
                }
            }
            reasons.join(", ")
        }
    };
    Some((host.name.clone(), reason))
}

/// Adds what the host's API server is told of etcd, where it says it.
fn explained(silent: Vec<(String, String)>, seen: &HostsSeen) -> Vec<(String, String)> {
    let of = |(host, reason): (String, String)| {
        let etcd = seen.get(&host).and_then(|seen| seen.as_ref().ok()?.etcd());
        let found = match etcd {
            Some(etcd) => {
                let files = [("ca", etcd.ca), ("cert", etcd.cert), ("key", etcd.key)];
                let files = files
                    .into_iter()
                    .filter_map(|(name, path)| Some(format!(", {name}: {}", path?)));
                format!(
                    "{}{}; no answer: {reason}",
                    etcd.endpoints.join(", "),
                    files.collect::<String>()
                )
            }
            None => format!("no answer: {reason}"),
        };
        (host, found)
    };
    silent.into_iter().map(of).collect()
}

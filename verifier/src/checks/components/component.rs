//! The state of a component as its own host sees it: its processes, and what its health endpoint answers.

pub(crate) mod known;
mod processes;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use secrets::Masked;
use serde::{Deserialize, Serialize};

use crate::findings::{Cause, Evidence, Finding, Line, cause, phrase};
use crate::protocol::{HttpProbe, HttpReply, Place, Process, TlsProbe};
use crate::suite::Ctx;
use crate::suite::listening::{self, Listening};

pub(crate) use processes::{alive, described, halted, unit};

/// How long a health endpoint may take. The API server's own question to etcd takes 2 s when etcd is dead.
const ANSWER: Duration = Duration::from_secs(4);
/// No more listeners than these are tried.
const TRIED: usize = 8;

/// A component of Kubernetes.
pub(crate) struct Component {
    /// Its name, as the field says it.
    pub(crate) name: &'static str,
    /// Its program, by the names that a process may have: the kernel keeps 15 bytes of one.
    pub(crate) programs: &'static [&'static str],
    /// Programs that run it inside their own process (k3s, microk8s).
    pub(crate) embedded: &'static [&'static str],
    /// The usual port of its health.
    pub(crate) port: u16,
    /// Paths of its health, the most exact first: an older version may not know it.
    pub(crate) paths: &'static [&'static str],
    /// How that port speaks.
    pub(crate) wire: Wire,
    /// Returns the cause where no process of it is on a host.
    pub(crate) stopped: fn(&str) -> Cause,
    /// Returns the cause where its process on a host is alive in a state, but does nothing.
    pub(crate) hung: fn(&str, char) -> Cause,
}

/// How a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// HTTP.
    Plain,
    /// HTTP over TLS, with a certificate that nobody can check.
    Tls,
}

/// What a host says of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ComponentState {
    /// Its processes, and those that may run it inside themselves; absent where nobody could look.
    pub(crate) processes: Option<Vec<Process>>,
    /// Where its health was asked.
    pub(crate) asked: Option<String>,
    /// What came; absent where the host could not even try.
    pub(crate) health: Option<HttpReply>,
    /// Whether one of its processes listens there; absent where nobody could see.
    #[serde(default)]
    pub(crate) own: Option<bool>,
}

/// What that comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It answers as it should.
    Answers,
    /// It answers, and tells strangers nothing of its health.
    Closed(u16),
    /// A process of it is there, and at the port of its health another program answers.
    Other(String),
    /// It answers that it is not well.
    Unhealthy {
        /// The status code.
        status: u16,
        /// What it says.
        body: String,
    },
    /// No process of it is there.
    Stopped,
    /// A process is there, and does nothing.
    Hung(char),
    /// A process is there, and serves no health.
    NotServing(String),
    /// Nobody could look.
    Unseen,
}

/// Looks at a component.
pub(crate) async fn look(ctx: &Ctx, host: &str, component: &Component) -> ComponentState {
    let names: Vec<&str> = component
        .programs
        .iter()
        .chain(component.embedded)
        .copied()
        .collect();
    let found = listening::look(ctx, host, &names).await.ok();
    let own = found.as_ref().and_then(|found| found.at(component.port));
    look_at(ctx, host, component, found.as_ref(), own).await
}

/// Looks at a component whose processes were looked at, and listen for its health there; absent: not at its usual port.
pub(crate) async fn look_at(
    ctx: &Ctx,
    host: &str,
    component: &Component,
    found: Option<&Listening>,
    own: Option<SocketAddr>,
) -> ComponentState {
    let to = own.unwrap_or_else(|| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), component.port));
    let unheld = || found.filter(|found| !found.hidden).map(|_| false);
    let mut seen = ComponentState {
        processes: found.map(|found| found.processes.clone()),
        asked: Some(url(component, to)),
        health: ask(ctx, host, component, to).await,
        own: own.map(|_| true).or_else(unheld),
    };
    if let (None, Some(found)) = (own, found) {
        elsewhere(ctx, host, component, found, &mut seen).await;
    }
    seen
}

/// Asks where the processes really listen: a flag or a file may have moved the port, or bound it to another address.
async fn elsewhere(
    ctx: &Ctx,
    host: &str,
    component: &Component,
    found: &Listening,
    seen: &mut ComponentState,
) {
    for address in found.addresses.iter().take(TRIED) {
        let address = listening::reachable(*address);
        let answer = ask(ctx, host, component, address).await;
        if answer.as_ref().is_some_and(|answer| component.is_sign(answer)) {
            seen.asked = Some(url(component, address));
            seen.health = answer;
            seen.own = Some(true);
            return;
        }
    }
}

fn url(component: &Component, address: SocketAddr) -> String {
    let scheme = match component.wire {
        Wire::Plain => "http",
        Wire::Tls => "https",
    };
    let path = component.paths.first().unwrap_or(&"/");
    format!("{scheme}://{address}{path}")
}

/// Asks the paths in turn until one is known.
async fn ask(ctx: &Ctx, host: &str, component: &Component, to: SocketAddr) -> Option<HttpReply> {
    let mut last = None;
    for path in component.paths {
        let probe = HttpProbe {
            to,
            method: "GET".to_owned(),
            path: (*path).to_owned(),
            from: Place::Host,
            timeout_millis: u64::try_from(ANSWER.as_millis()).unwrap_or(u64::MAX),
            keep_body: 2000,
        };
        let deadline = ANSWER + Duration::from_secs(2);
        let answer = match component.wire {
            Wire::Plain => ctx.ask_within(host, probe, deadline).await,
            Wire::Tls => ctx.ask_within(host, TlsProbe { probe }, deadline).await,
        };
        last = answer.ok();
        if !matches!(last, Some(HttpReply::Answer { status: 404, .. })) {
            break;
        }
    }
    last
}

impl ComponentState {
    /// Returns whether a process of it is there at all.
    pub(crate) fn runs(&self) -> Option<bool> {
        self.processes.as_deref().map(alive)
    }

    /// Returns a process that a signal has stopped.
    pub(crate) fn stopped(&self) -> Option<&Process> {
        halted(self.processes.as_deref()?)
    }

    /// Returns whether it was told to elect no leader.
    pub(crate) fn is_alone(&self) -> bool {
        let arguments = self
            .processes
            .iter()
            .flatten()
            .flat_map(|process| process.arguments.iter());
        arguments
            .into_iter()
            .any(|argument| *argument == "--leader-elect=false")
    }

    /// Returns what that comes to. An answer counts only where a process of it holds the port: anybody may answer there.
    pub(crate) fn state(&self, component: &Component) -> State {
        let Some(processes) = &self.processes else {
            return State::Unseen;
        };
        if let Some(process) = halted(processes) {
            return State::Hung(process.state);
        }
        let Some(own) = processes.iter().find(|process| process.state != 'Z') else {
            return State::Stopped;
        };
        match self.own {
            Some(true) => self.answered(component, own.state),
            // What only may run it inside itself need not do so.
            Some(false) if !processes.iter().any(|process| component.is_own(process)) => State::Stopped,
            Some(false) => self.unheld(),
            None => State::Unseen,
        }
    }

    /// Returns what the answer of its own process comes to.
    fn answered(&self, component: &Component, process: char) -> State {
        match &self.health {
            Some(HttpReply::Answer { status: 200, .. }) => State::Answers,
            // It may not tell strangers how it is.
            Some(HttpReply::Answer {
                status: status @ (401 | 403),
                ..
            }) => State::Closed(*status),
            Some(answer) if component.is_sign(answer) => State::Answers,
            Some(HttpReply::Answer { status, body, .. }) => State::Unhealthy {
                status: *status,
                body: short(body),
            },
            Some(HttpReply::Silent { .. }) => State::Hung(process),
            Some(HttpReply::Broken { error }) => State::NotServing(self.reason(error)),
            None => State::Unseen,
        }
    }

    /// Returns what an answer comes to where no process of it listens.
    fn unheld(&self) -> State {
        match &self.health {
            Some(HttpReply::Answer { .. } | HttpReply::Silent { .. }) => {
                State::Other(self.asked.clone().unwrap_or_default())
            }
            Some(HttpReply::Broken { error }) => State::NotServing(self.reason(error)),
            None => State::Unseen,
        }
    }

    fn reason(&self, error: &str) -> String {
        format!("{}: {error}", self.asked.as_deref().unwrap_or_default())
    }

    /// Returns what is wrong with it. A process that is not there, or that a signal has stopped, does not come back by
    /// itself; all else may.
    pub(crate) fn finding(&self, component: &Component, host: &str) -> Option<Finding> {
        let name = &component.name;
        match self.state(component) {
            State::Answers => None,
            State::Stopped => Some(Finding::fail((component.stopped)(host)).sure()),
            State::Hung(state @ ('T' | 't')) => Some(Finding::fail((component.hung)(host, state)).sure()),
            State::Hung(state) => Some(Finding::fail((component.hung)(host, state))),
            State::Unhealthy { status, body } => Some(Finding::fail(cause::ComponentUnhealthy {
                component: name,
                host: &host,
                status: &status,
                body: &body,
            })),
            State::NotServing(reason) => Some(Finding::fail(cause::ComponentRefuses {
                component: name,
                host: &host,
                reason: &reason,
            })),
            State::Other(url) => Some(Finding::fail(cause::ComponentOther {
                component: name,
                host: &host,
                url: &url,
            })),
            State::Closed(status) => Some(Finding::error(cause::ComponentClosed {
                component: name,
                host: &host,
                status: &status,
            })),
            State::Unseen => Some(Finding::error(cause::ComponentUnseen {
                component: name,
                host: &host,
            })),
        }
    }

    /// Returns the unit that runs it, else the usual one.
    pub(crate) fn unit(&self, component: &Component) -> String {
        let running = self.processes.iter().flatten().find_map(unit);
        running.unwrap_or_else(|| format!("{}.service", component.name))
    }

    /// Returns what was seen, for a person.
    pub(crate) fn evidence(&self, component: &Component) -> Evidence {
        let mut lines = described(self.processes.as_deref());
        lines.extend(self.answer());
        let name = &component.name;
        Evidence {
            title: phrase::Component { component: name }.into(),
            lines,
        }
    }

    /// Returns what its health answered; nothing where it was not asked.
    fn answer(&self) -> Option<Line> {
        let url = self.asked.as_deref()?;
        Some(match &self.health {
            Some(HttpReply::Answer {
                status: 200, body, ..
            }) => format!("{url}: 200 {}", body.lines().next().unwrap_or_default()).into(),
            Some(HttpReply::Answer { status, body, .. }) => format!("{url}: {status} {}", short(body)).into(),
            Some(HttpReply::Broken { error }) => format!("{url}: {error}").into(),
            Some(HttpReply::Silent { connected: true }) => Line::said(phrase::HealthSilent { url: &url }),
            Some(HttpReply::Silent { connected: false }) => {
                Line::said(phrase::HealthUnconnected { url: &url })
            }
            None => Line::said(phrase::HealthUnasked { url: &url }),
        })
    }
}

impl Component {
    /// Returns whether an answer of the component's own process shows that it lives. A port that wants TLS answers what
    /// comes without it with 400: a kubelet whose health is switched off has no other.
    fn is_sign(&self, answer: &HttpReply) -> bool {
        match answer {
            HttpReply::Answer { status: 200, .. } => true,
            HttpReply::Answer { status: 400, .. } => self.wire == Wire::Plain,
            _ => false,
        }
    }

    /// Returns whether a process is the component's own program, not one that may run it inside itself.
    pub(crate) fn is_own(&self, process: &Process) -> bool {
        let program = process.arguments.first().map_or("", Masked::as_str);
        let program = program.rsplit('/').next().unwrap_or_default();
        !self.embedded.contains(&process.name.as_str()) && !self.embedded.contains(&program)
    }
}

/// Returns the ends of the journals of those of the components that findings are about, each given with its unit.
pub(crate) async fn journals(
    ctx: &Ctx,
    host: &str,
    units: &[(&str, String)],
    findings: &[Finding],
) -> Vec<Evidence> {
    let mut journals = Vec::new();
    for (name, unit) in units {
        if findings
            .iter()
            .any(|finding| finding.subject.as_deref() == Some(*name))
        {
            journals.extend(ctx.journal(host, unit).await);
        }
    }
    journals
}

/// Returns the first words of a body; of the API server's list of checks only those that failed.
fn short(body: &str) -> String {
    let failed: Vec<&str> = body.lines().filter(|line| line.starts_with("[-]")).collect();
    let text = if failed.is_empty() {
        body.trim().to_owned()
    } else {
        failed.join("; ")
    };
    text.chars().take(300).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use secrets::MaskedArguments;

    use super::known::KUBELET;
    use super::*;

    /// Returns a process.
    pub(crate) fn process(name: &str, state: char) -> Process {
        Process {
            pid: 3441,
            parent: 1,
            name: name.chars().take(15).collect(),
            arguments: MaskedArguments::new(&[format!("/usr/local/bin/{name}")]),
            state,
            age_seconds: 100,
            cgroup: format!("/system.slice/{name}.service"),
        }
    }

    /// Returns an answer of a health endpoint.
    pub(crate) fn answer(status: u16, body: &str) -> HttpReply {
        HttpReply::Answer {
            status,
            headers: BTreeMap::new(),
            body: body.into(),
            length: body.len() as u64,
            millis: 1,
        }
    }

    /// Returns the state of a component that is well.
    pub(crate) fn well(name: &str) -> ComponentState {
        ComponentState {
            processes: Some(vec![process(name, 'S')]),
            asked: Some("http://127.0.0.1:1/healthz".to_owned()),
            health: Some(answer(200, "ok")),
            own: Some(true),
        }
    }

    /// Returns that of one that was stopped.
    pub(crate) fn stopped() -> ComponentState {
        ComponentState {
            processes: Some(Vec::new()),
            asked: Some("http://127.0.0.1:1/healthz".to_owned()),
            health: Some(refused()),
            own: Some(false),
        }
    }

    /// Returns that of one that a SIGSTOP reached.
    pub(crate) fn hung(name: &str) -> ComponentState {
        ComponentState {
            processes: Some(vec![process(name, 'T')]),
            health: Some(HttpReply::Silent { connected: true }),
            ..well(name)
        }
    }

    pub(crate) fn refused() -> HttpReply {
        HttpReply::Broken {
            error: "connection refused".into(),
        }
    }

    fn state(processes: Option<Vec<Process>>, health: Option<HttpReply>) -> State {
        let seen = ComponentState {
            processes,
            asked: Some("http://127.0.0.1:10248/healthz".to_owned()),
            health,
            own: Some(true),
        };
        seen.state(&KUBELET)
    }

    #[test]
    fn only_an_answer_is_a_sign_of_life() {
        let one = |letter| Some(vec![process("kubelet", letter)]);
        assert_eq!(state(one('S'), Some(answer(200, "ok"))), State::Answers);
        assert_eq!(state(one('S'), Some(answer(400, ""))), State::Answers);
        assert_eq!(state(one('S'), Some(answer(401, ""))), State::Closed(401));
        assert!(matches!(
            state(one('S'), Some(answer(404, ""))),
            State::Unhealthy { status: 404, .. }
        ));
        assert_eq!(state(Some(Vec::new()), Some(refused())), State::Stopped);
        assert_eq!(state(one('Z'), Some(refused())), State::Stopped);
        let silent = || Some(HttpReply::Silent { connected: true });
        assert_eq!(state(one('T'), silent()), State::Hung('T'));
        assert_eq!(state(one('S'), silent()), State::Hung('S'));
        assert!(matches!(state(one('S'), Some(refused())), State::NotServing(_)));
        let body = "[+]ping ok\n[-]etcd failed: reason withheld\nlivez check failed";
        let unhealthy = State::Unhealthy {
            status: 500,
            body: "[-]etcd failed: reason withheld".to_owned(),
        };
        assert_eq!(state(one('S'), Some(answer(500, body))), unhealthy);
    }

    #[test]
    fn what_nobody_could_look_at_is_neither_alive_nor_dead() {
        assert_eq!(state(None, Some(refused())), State::Unseen);
        assert_eq!(state(None, Some(answer(401, ""))), State::Unseen);
        assert_eq!(state(Some(vec![process("kubelet", 'S')]), None), State::Unseen);
        assert_eq!(state(None, Some(answer(200, "ok"))), State::Unseen);
        let hidden = ComponentState {
            own: None,
            ..well("kubelet")
        };
        assert_eq!(hidden.state(&KUBELET), State::Unseen);
    }

    #[test]
    fn an_answer_of_another_program_is_none() {
        let other = |process: &str, health| ComponentState {
            processes: Some(vec![self::process(process, 'S')]),
            health: Some(health),
            own: Some(false),
            ..well("kubelet")
        };
        assert!(matches!(
            other("kubelet", answer(200, "ok")).state(&KUBELET),
            State::Other(_)
        ));
        let balanced = ComponentState {
            own: Some(false),
            health: Some(answer(200, "ok")),
            ..stopped()
        };
        assert_eq!(balanced.state(&KUBELET), State::Stopped);
        assert_eq!(
            other("k3s-server", answer(200, "ok")).state(&KUBELET),
            State::Stopped
        );
        assert!(matches!(
            other("kubelet", refused()).state(&KUBELET),
            State::NotServing(_)
        ));
    }

    #[test]
    fn a_program_that_embeds_it_counts_only_while_it_answers() {
        let k3s = || Some(vec![process("k3s-agent", 'S')]);
        assert_eq!(state(k3s(), Some(answer(200, "ok"))), State::Answers);
        let silent = ComponentState {
            processes: k3s(),
            ..stopped()
        };
        assert_eq!(silent.state(&KUBELET), State::Stopped);
    }

    #[test]
    fn only_what_does_not_pass_by_itself_needs_no_second_look() {
        let sure = |seen: &ComponentState| seen.finding(&KUBELET, "node-0").map(|finding| finding.sure);
        assert_eq!(sure(&well("kubelet")), None);
        assert_eq!(sure(&stopped()), Some(true));
        assert_eq!(sure(&hung("kubelet")), Some(true));
        let with = |health| ComponentState {
            health: Some(health),
            ..well("kubelet")
        };
        assert_eq!(sure(&with(answer(500, "syncloop"))), Some(false));
        assert_eq!(sure(&with(HttpReply::Silent { connected: true })), Some(false));
        assert_eq!(sure(&with(refused())), Some(false));
    }

    #[test]
    fn the_unit_is_that_of_the_process_else_the_usual_one() {
        let mut seen = well("kubelet");
        assert_eq!(seen.unit(&KUBELET), "kubelet.service");
        seen.processes = Some(vec![process("k3s-agent", 'S')]);
        assert_eq!(seen.unit(&KUBELET), "k3s-agent.service");
        assert_eq!(stopped().unit(&KUBELET), "kubelet.service");
    }
}

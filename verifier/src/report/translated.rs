//! A report in another language. What it says by ids is said anew; what we have no words for stays as it is.

use super::{CauseEntry, FindingEntry, HostEntry, Report, ResultEntry};
use crate::findings::{Cause, Lang, Login, Logins, catalogue, retold};

/// So many lines of a piece of evidence are looked at for sentences of ours, and so long ones.
const LINES: usize = 80;
const LETTERS: usize = 400;

/// Returns the report in a language. Reports are written in English.
pub(super) fn translated(mut report: Report, lang: Lang) -> Report {
    if lang == super::LANG {
        return report;
    }
    let mut logins = logins(&report.hosts);
    if let Some(file) = &report.kubeconfig {
        logins = logins.with_kubeconfig(file.to_string());
    }
    for text in &mut report.untested {
        if let Some(words) = retold(text, lang) {
            *text = words;
        }
    }
    for result in &mut report.results {
        translate(result, &logins, lang);
    }
    report
}

fn translate(result: &mut ResultEntry, logins: &Logins, lang: Lang) {
    let summary = catalogue::summary(&result.id, lang);
    if !summary.is_empty() {
        summary.clone_into(&mut result.summary);
    }
    let layout = result.layout;
    let say = |entry: &mut CauseEntry, hint: &mut String| {
        if let Some(cause) = Cause::stored(&entry.id, &entry.args) {
            entry.text = catalogue::text(&cause, lang, layout);
            *hint = catalogue::hint(&cause, lang, logins.at(layout));
        }
    };
    for FindingEntry { cause, hint, .. } in &mut result.findings {
        say(cause, hint);
    }
    if let Some(cause) = &mut result.cause {
        say(cause, result.hint.get_or_insert_default());
    }
    for evidence in &mut result.evidence {
        if let Some(title) = retold(&evidence.title, lang) {
            evidence.title = title;
        }
        // No form shows more of it.
        let line = |(at, line): (usize, &str)| {
            let said = (at < LINES && line.len() < LETTERS)
                .then(|| retold(line, lang))
                .flatten();
            said.unwrap_or_else(|| line.to_owned())
        };
        let lines: Vec<String> = evidence.text.lines().enumerate().map(line).collect();
        evidence.text = lines.join("\n");
    }
}

/// Returns how the hosts of a report are logged into.
pub(super) fn logins(hosts: &[HostEntry]) -> Logins {
    let login = |host: &HostEntry| Login {
        command: host.login.as_ref().map(|login| login.command.to_string()),
        address: host.address.to_string(),
        sudo: host.login.as_ref().is_some_and(|login| login.sudo),
        // Hints name no socket; commands by hand are stored whole.
        runtime: None,
    };
    let known = hosts.iter().filter(|host| host.login.is_some());
    let names = |host: &HostEntry| {
        let names = host.node.iter().chain([&host.name]);
        names
            .map(|name| (name.to_string(), login(host)))
            .collect::<Vec<_>>()
    };
    let with = |role: &str| {
        hosts
            .iter()
            .find(|host| host.roles.iter().any(|other| other == role))
    };
    let first = with("control-plane").or_else(|| with("etcd")).or(hosts.first());
    Logins::new(known.flat_map(names), first.map(|host| host.name.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Outcome;
    use crate::report::tests::{about, report, row};

    #[test]
    fn what_a_report_says_by_ids_is_said_in_the_other_language_as_a_run_would_say_it() {
        let rows = [
            row("network.pod-reachable", Some("node-0"), Outcome::Fail),
            row("workload.scale", None, Outcome::Skip),
        ];
        let login = Login {
            command: Some("ssh op@10.0.0.1".to_owned()),
            address: "192.168.10.101".to_owned(),
            sudo: true,
            runtime: None,
        };
        let logins = Logins::new([("node-0".to_owned(), login)], Some("node-0".to_owned()))
            .with_kubeconfig("/site/admin config".to_owned());
        let report = Report::new(
            crate::report::About {
                logins: logins.clone(),
                ..about()
            },
            &rows,
        );
        let ko = translated(report.clone(), Lang::Ko);
        for (row, result) in rows.iter().zip(&ko.results) {
            let cause = row.verdict.cause().unwrap();
            assert_eq!(result.summary, catalogue::summary(row.id, Lang::Ko));
            let said = result.cause.as_ref().unwrap();
            assert_eq!(said.text, catalogue::text(cause, Lang::Ko, row.distribution));
            let hint = catalogue::hint(cause, Lang::Ko, logins.at(row.distribution));
            assert_eq!(result.hint.as_deref(), Some(hint.as_str()));
        }
        let english: Vec<&str> = report.untested.iter().map(String::as_str).collect();
        assert!(
            ko.untested.iter().all(|text| !english.contains(&text.as_str())),
            "{:?}",
            ko.untested
        );
        assert_ne!(
            ko.results[0].evidence[0].title,
            report.results[0].evidence[0].title
        );
    }

    #[test]
    fn what_we_have_no_words_for_stays() {
        let mut report = report(&[Outcome::Fail]);
        let result = &mut report.results[0];
        result.id = "later.check".to_owned();
        result.findings[0].cause.id = "later-cause".to_owned();
        let before = result.clone();
        let after = translated(report, Lang::Ko).results.remove(0);
        assert_eq!(after.summary, before.summary);
        assert_eq!(after.findings[0], before.findings[0]);
    }
}

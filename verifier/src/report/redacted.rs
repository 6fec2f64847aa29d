//! A report to hand out: addresses, names and subjects have pseudonyms. What is kept is what is public: our own sentences, the
//! words that stand in them, figures, versions. Everything else is replaced, known to be a name or not, so that nothing
//! depends on a list of what is secret.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use cli::Shown;

use super::pseudonyms::{Named, Pseudonyms};
use super::{CauseEntry, HostEntry, Report, ResultEntry};
use crate::certs::Listed;
use crate::findings::{Cause, Lang, catalogue};
use crate::site::SuiteSettings;

/// Words that hosts and certificates have everywhere, and that stand in none of our sentences.
const PUBLIC: &str = "Debian GNU Linux Ubuntu Red Hat Enterprise Rocky AlmaLinux CentOS Stream Fedora CoreOS Flatcar openSUSE SUSE Leap Alpine \
    bookworm trixie bullseye jammy noble LTS amd64 arm64 x86_64 aarch64 RSA EC Ed25519 ECDSA CN O OU C L ST DC ecdsa-with-SHA256 \
    ecdsa-with-SHA384 sha256WithRSAEncryption sha384WithRSAEncryption sha512WithRSAEncryption kubernetes.default.svc cluster.local \
    lo eth0 eth1 ens3 ens192 bond0 os unreachable refused cni0 docker0 flannel.1 kube-ipvs0 UP DOWN up down inet inet6 mtu scope dev via link src proto kernel root init systemd pause \
    containerd-shim-runc-v2 default kube-system kube-public etc var lib run usr bin sbin opt tmp proc sys pki crt key pem conf";

/// What may stay as it is.
static KEPT: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let sentences = catalogue::public();
    let mut kept: BTreeSet<String> = words(&sentences).into_iter().map(str::to_owned).collect();
    kept.extend(catalogue::checks(Lang::En).map(str::to_owned));
    kept.extend(
        crate::findings::CauseId::ALL
            .iter()
            .map(|id| id.name().to_owned()),
    );
    kept.extend(PUBLIC.split_whitespace().map(str::to_owned));
    kept
});

/// Returns whether a letter is a part of a name.
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || "._-:@%".contains(c)
}

/// Returns the runs of letters that may be names, without the punctuation at their ends.
fn words(text: &str) -> Vec<&str> {
    let runs = text.split(|c| !is_part(c)).map(trimmed);
    runs.filter(|run| !run.is_empty()).collect()
}

fn trimmed(run: &str) -> &str {
    run.trim_matches(|c: char| ".-:@%_".contains(c))
}

/// Returns whether a run is a figure: a number with or without a unit, a version, a time.
fn is_figure(run: &str) -> bool {
    let digits = run.strip_prefix('v').unwrap_or(run);
    let end = digits
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(digits.len());
    let (number, unit) = digits.split_at(end);
    let short = !number.is_empty() && number.len() <= 9 && number.matches('.').count() <= 2;
    let unit = matches!(
        unit,
        "" | "s" | "ms" | "m" | "h" | "d" | "%" | "B" | "kB" | "KiB" | "MiB" | "GiB" | "Mi" | "Gi" | "Ki"
    );
    (short && unit) || run.parse::<jiff::Timestamp>().is_ok()
}

struct Redactor<'a> {
    pseudonyms: &'a mut Pseudonyms,
    /// Names that are also words: they are replaced all the same.
    hosts: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl Redactor<'_> {
    fn name(&mut self, kind: Named, name: &str) -> String {
        match self.pseudonyms.of_address(name) {
            Some(address) => address,
            None => self.pseudonyms.of(kind, name),
        }
    }

    /// Replaces every run that is not public.
    fn text(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_part) {
            out += &rest[..start];
            let end = rest[start..]
                .find(|c| !is_part(c))
                .map_or(rest.len(), |end| start + end);
            let run = &rest[start..end];
            if let Some(address) = self.address(run) {
                out += &address;
                rest = &rest[end..];
                continue;
            }
            let inner = trimmed(run);
            let before = run.find(inner).unwrap_or_default();
            out += &run[..before];
            if !inner.is_empty() {
                out += &self.run(inner);
            }
            out += &run[before + inner.len()..];
            rest = &rest[end..];
        }
        out + rest
    }

    /// Replaces an address that its own punctuation begins or ends, `2001:290::`, or that has a zone, `fe80::1%eth0`.
    fn address(&mut self, run: &str) -> Option<String> {
        let (address, zone) = run.split_once('%').unwrap_or((run, ""));
        let pseudonym = self.pseudonyms.of_address(address)?;
        if zone.is_empty() {
            return Some(pseudonym);
        }
        Some(format!("{pseudonym}%{}", self.text(zone)))
    }

    fn run(&mut self, run: &str) -> String {
        if self.hosts.contains(run) {
            return self.name(Named::Host, run);
        }
        if let Some(address) = self.pseudonyms.of_address(run) {
            return address;
        }
        if !self.others.contains(run) && (KEPT.contains(run) || is_figure(run)) {
            return run.to_owned();
        }
        // Addresses of hardware may have no letter.
        if run.split(':').count() > 3 {
            return self.pseudonyms.of(Named::Other, run);
        }
        // `name:port` and `key:value`: each by itself.
        if let Some((name, rest)) = run
            .split_once(':')
            .filter(|(name, rest)| !name.is_empty() && !rest.is_empty())
        {
            return format!("{}:{}", self.run(name), self.run(rest));
        }
        self.pseudonyms.of(Named::Other, run)
    }

    fn shown(&mut self, text: &Shown) -> Shown {
        Shown::line(&self.text(text))
    }

    fn optional(&mut self, text: &mut Option<Shown>) {
        if let Some(text) = text {
            *text = self.shown(text);
        }
    }

    fn host(&mut self, name: &Shown) -> Shown {
        Shown::new(&self.name(Named::Host, name))
    }

    fn cause(&mut self, entry: &mut CauseEntry, hint: &mut String, result: &ResultEntry) {
        for value in entry.args.values_mut() {
            *value = self.shown(value);
        }
        if let Some(cause) = Cause::stored(&entry.id, &entry.args) {
            entry.text = catalogue::text(&cause, Lang::En, result.layout);
            *hint = catalogue::hint(&cause, Lang::En, result.layout);
        } else {
            entry.id = self.text(&entry.id);
            entry.text = self.text(&entry.text);
            *hint = self.text(hint);
        }
    }

    fn result(&mut self, result: &mut ResultEntry) {
        let as_it_was = result.clone();
        result.host = result.host.as_ref().map(|host| self.host(host));
        let known = catalogue::summary(&result.id, Lang::En);
        if known.is_empty() {
            result.id = self.text(&result.id);
            result.summary = self.text(&result.summary);
            result.by_hand = self.text(&result.by_hand);
        } else {
            known.clone_into(&mut result.summary);
            let host = result.host.as_deref().unwrap_or("HOST");
            result.by_hand = catalogue::by_hand(&result.id, Lang::En, host, result.layout);
        }
        for finding in &mut result.findings {
            self.optional(&mut finding.subject);
            if let Some(accepted) = &mut finding.accepted {
                accepted.reason = self.shown(&accepted.reason);
                accepted.by = Shown::new(&self.pseudonyms.of(Named::Other, &accepted.by));
            }
            self.cause(&mut finding.cause, &mut finding.hint, &as_it_was);
        }
        if let Some(cause) = &mut result.cause {
            self.cause(cause, result.hint.get_or_insert_default(), &as_it_was);
        }
        for evidence in &mut result.evidence {
            evidence.title = self.text(&evidence.title);
            evidence.text = self.text(&evidence.text);
        }
    }

    fn entry(&mut self, host: &mut HostEntry) {
        host.name = self.host(&host.name);
        host.address = Shown::new(&self.name(Named::Host, &host.address));
        host.node = host.node.as_ref().map(|node| self.host(node));
        host.login = None;
        for text in [
            &mut host.kubelet,
            &mut host.runtime,
            &mut host.kernel,
            &mut host.system,
        ] {
            self.optional(text);
        }
        host.boot = host
            .boot
            .as_ref()
            .map(|boot| Shown::new(&self.pseudonyms.of(Named::Other, boot)));
    }

    fn listed(&mut self, listed: &mut Listed) {
        listed.host = listed.host.as_ref().map(|host| self.host(host));
        for text in [
            &mut listed.place,
            &mut listed.subject,
            &mut listed.issuer,
            &mut listed.signature,
        ] {
            *text = self.shown(text);
        }
        for text in listed
            .names
            .iter_mut()
            .chain(&mut listed.sans)
            .chain(&mut listed.used_by)
        {
            *text = self.shown(text);
        }
        listed.serial = Shown::new(&self.pseudonyms.of(Named::Other, &listed.serial));
        listed.sha256 = self.pseudonyms.of(Named::Other, &listed.sha256);
        listed.key = self.text(&listed.key);
        for usage in &mut listed.usages {
            *usage = self.text(usage);
        }
    }
}

impl Redactor<'_> {
    /// What is a number stays; names of the site's go, those of labels too.
    fn suite(&mut self, suite: &mut SuiteSettings) {
        let names = [
            &mut suite.namespace,
            &mut suite.image,
            &mut suite.pull_secret,
            &mut suite.title,
        ];
        for text in names.into_iter().flatten() {
            *text = self.text(text);
        }
        for labels in [&mut suite.labels, &mut suite.node_selector] {
            let all = std::mem::take(labels);
            *labels = all
                .iter()
                .map(|(key, value)| (self.text(key), self.text(value)))
                .collect();
        }
        for toleration in &mut suite.tolerations {
            for text in [&mut toleration.key, &mut toleration.value].into_iter().flatten() {
                *text = self.text(text);
            }
        }
    }

    fn image(&mut self, listed: &mut crate::images::Listed) {
        listed.host = self.host(&listed.host);
        for text in [&mut listed.namespace, &mut listed.id, &mut listed.platform] {
            self.optional(text);
        }
        for text in listed
            .names
            .iter_mut()
            .chain(&mut listed.digests)
            .chain(&mut listed.used_by)
        {
            *text = self.shown(text);
        }
        for cause in &mut listed.causes {
            *cause = self.text(cause);
        }
    }
}

/// Returns the names by which hosts are told: they are replaced though they may be words.
fn names(report: &Report) -> (BTreeSet<String>, BTreeSet<String>) {
    let of = |host: &HostEntry| {
        [
            Some(host.name.clone()),
            Some(host.address.clone()),
            host.node.clone(),
        ]
    };
    let hosts = report.hosts.iter().flat_map(of).flatten();
    let results = report.results.iter().filter_map(|result| result.host.clone());
    let server = report.cluster.as_ref().map(|cluster| cluster.server.to_string());
    let server = server
        .iter()
        .flat_map(|server| words(server))
        .filter(|word| *word != "https" && !is_figure(word));
    let server: Vec<String> = server
        .map(|word| word.rsplit_once(':').map_or(word, |(name, _)| name).to_owned())
        .collect();
    let hosts = hosts
        .chain(results)
        .map(|name| name.to_string())
        .chain(server)
        .collect();
    // `root` is everybody's.
    let by = [&report.by.user, &report.by.machine].map(ToString::to_string);
    (hosts, by.into_iter().filter(|name| name != "root").collect())
}

/// Returns the report with pseudonyms.
pub fn redacted(mut report: Report, pseudonyms: &mut Pseudonyms) -> Report {
    let (hosts, others) = names(&report);
    let mut redactor = Redactor {
        pseudonyms,
        hosts,
        others,
    };
    report.redacted = true;
    report.kubeconfig = None;
    // Names and addresses of people; the key stays.
    report.bundle_made.iter_mut().for_each(|made| made.signer = None);
    report.by.user = redactor.shown(&report.by.user);
    report.by.machine = Shown::new(&redactor.name(Named::Host, &report.by.machine));
    if let Some(cluster) = &mut report.cluster {
        cluster.server = redactor.shown(&cluster.server);
        cluster.uid = cluster
            .uid
            .as_ref()
            .map(|uid| Shown::new(&redactor.pseudonyms.of(Named::Other, uid)));
        cluster.ca = cluster
            .ca
            .as_ref()
            .map(|ca| redactor.pseudonyms.of(Named::Other, ca));
        redactor.optional(&mut cluster.version);
    }
    for host in &mut report.hosts {
        redactor.entry(host);
    }
    for result in &mut report.results {
        redactor.result(result);
    }
    for listed in &mut report.certificates {
        redactor.listed(listed);
    }
    for listed in &mut report.images {
        redactor.image(listed);
    }
    for totals in &mut report.image_stores {
        totals.host = redactor.host(&totals.host);
    }
    redactor.suite(&mut report.suite);
    if let Some(touched) = &mut report.touched {
        for host in &mut touched.hosts {
            host.name = redactor.host(&host.name);
            redactor.optional(&mut host.directory);
        }
        let lists = [&mut touched.made, &mut touched.beyond, &mut touched.unused];
        for text in lists.into_iter().flatten() {
            *text = redactor.shown(text);
        }
        let api = std::mem::take(&mut touched.api);
        touched.api = api
            .into_iter()
            .map(|(asked, count)| (redactor.text(&asked), count))
            .collect();
    }
    for accepted in &mut report.acceptances {
        accepted.host = accepted.host.as_ref().map(|host| redactor.host(host));
        redactor.optional(&mut accepted.subject);
        accepted.reason = redactor.shown(&accepted.reason);
        accepted.by = Shown::new(&redactor.pseudonyms.of(Named::Other, &accepted.by));
    }
    let own = report.selection.only.iter_mut().chain(&mut report.selection.skip);
    for text in own.chain(&mut report.not_run).chain(&mut report.untested) {
        *text = redactor.text(text);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Evidence, Finding, Outcome, Verdict, cause, phrase};
    use crate::report::certificates::testing::listed;
    use crate::report::tests::{about, row};
    use crate::report::{About, By, ClusterEntry, LoginEntry, ReportForm};

    /// What must not be left anywhere.
    const ORIGINALS: [&str; 21] = [
        "2001:290",
        "fe80::51",
        "00:50:56",
        "00:11:22",
        "seoul-db-07",
        "seoul-db-08",
        "10.77.3.9",
        "fd00:77::9",
        "10.200.7.0",
        "kim.minsu",
        "jump-seoul",
        "api.seoul.example",
        "0c0ffee0-0000",
        "payroll",
        "Hanguk-Bank",
        "6a:7b:8c",
        "f00dcafe",
        "worker",
        "acme-kernel",
        "op@",
        "/home/kim",
    ];

    fn original() -> Report {
        let mut rows = vec![
            row("network.pod-reachable", Some("seoul-db-07"), Outcome::Fail),
            row("nodes.ready", Some("worker"), Outcome::Pass),
        ];
        let found = cause::RouteMissing {
            network: &"10.200.7.0/24",
            via: &"10.77.3.9",
            node: &"seoul-db-08",
            host: &"seoul-db-07",
        };
        let lines = [
            "10.200.7.0/24 via 10.77.3.9 dev eth0 lladdr 6a:7b:8c:00:11:22",
            "https://api.seoul.example:6443 payroll/web-0 [fd00:77::9]:443, kim.minsu: worker=f00dcafe",
            "seoul-db-08.",
            "2001:290::/32 via fe80::51%eth0 lladdr 00:50:56:12:34:56",
        ];
        let evidence = Evidence::lines(phrase::Routes, lines);
        rows[0].verdict = Verdict::of(
            Ok(vec![Finding::fail(found).of("payroll/web-0")]),
            evidence.into_iter().collect(),
        );
        let host = |name: &str| HostEntry {
            name: Shown::new(name),
            address: Shown::new("10.77.3.9"),
            kernel: Some(Shown::new("6.1.0-acme-kernel")),
            login: Some(LoginEntry {
                command: Shown::new("ssh -i /home/kim/id op@10.77.3.9"),
                sudo: true,
            }),
            ..about().hosts.remove(0)
        };
        let about = About {
            by: By {
                user: Shown::new("kim.minsu"),
                machine: Shown::new("jump-seoul"),
            },
            cluster: Some(ClusterEntry {
                server: Shown::new("https://api.seoul.example:6443"),
                ..about().cluster.unwrap()
            }),
            hosts: vec![host("seoul-db-07"), host("worker")],
            ..about()
        };
        let mut report = Report::new(about, &rows);
        report.hosts[0].login = host("x").login;
        report.certificates = vec![listed(
            "seoul-db-07",
            "/home/kim/pki/payroll.crt#1",
            "CN=payroll,O=Hanguk-Bank",
            "2027-01-01T00:00:00Z",
            40,
        )];
        report.certificates[0].sha256 = "f00dcafe".repeat(8);
        report.results[0].by_hand = "ssh op@10.77.3.9 ip route".to_owned();
        report
    }

    #[test]
    fn nothing_of_the_originals_is_left_in_any_form() {
        let home = tempfile::tempdir().unwrap();
        let mut pseudonyms = Pseudonyms::open(&home.path().join("key")).unwrap();
        let report = redacted(original(), &mut pseudonyms);
        let json = cli::to_json(&report).unwrap();
        let digest = bundle::Digest::of(json.as_bytes());
        let forms = [
            ReportForm::Html,
            ReportForm::Xml,
            ReportForm::Sarif,
            ReportForm::Csv,
            ReportForm::Markdown,
        ];
        let langs = [Lang::En, Lang::Ko];
        let texts = forms
            .iter()
            .flat_map(|form| langs.map(|lang| form.of(&report, digest, lang)));
        let mut texts: Vec<String> = texts.collect();
        texts.push(json);
        for text in &texts {
            for original in ORIGINALS.iter().filter(|original| **original != "worker") {
                assert!(!text.contains(original), "{original}: {text:.3000}");
            }
        }
        // A host that is called by a word of ours: the word stays in our sentences, the name is gone.
        assert!(report.hosts.iter().all(|host| host.name.starts_with("host-")));
        assert!(
            report
                .results
                .iter()
                .all(|result| result.host.as_ref().is_none_or(|host| host.starts_with("host-")))
        );
        assert!(!report.results[0].evidence[0].text.contains("worker"));
    }

    #[test]
    fn what_is_public_stays_and_the_key_file_turns_the_rest_back() {
        let home = tempfile::tempdir().unwrap();
        let mut pseudonyms = Pseudonyms::open(&home.path().join("key")).unwrap();
        let original = original();
        let report = redacted(original.clone(), &mut pseudonyms);
        let text = &report.results[0].evidence[0].text;
        assert!(
            text.contains("/24 via ip-") && text.contains(" dev eth0 "),
            "{text}"
        );
        assert_eq!(pseudonyms.revealed(text), original.results[0].evidence[0].text);
        assert_eq!(report.results[0].cause.as_ref().unwrap().id, "route-missing");
        assert_eq!(report.bundle, original.bundle);
        assert_eq!(
            redacted(original.clone(), &mut pseudonyms),
            report,
            "the same names have the same pseudonyms"
        );
        let said = report.results[0].cause.as_ref().unwrap().text.clone();
        assert_eq!(
            pseudonyms.revealed(&said),
            original.results[0].cause.as_ref().unwrap().text
        );
    }
}

//! `verifier run --plan`: what a run would touch, before anything is touched.

use std::io::{self, Read as _};
use std::path::Path;

use bundle::{BundleFile, Hasher, Kind as Member, Platform};
use cli::{Failure, Form, Kind, ResultExt as _};

use crate::carrier::ssh;
use crate::cluster::Target;
use crate::findings::{Lang, Phrase, catalogue, phrase};
use crate::run::plan::{HerePlan, HostPlan, Plan, ProgramPlan, RequestPlan};
use crate::site::Site;

/// Returns the programs that may be brought to hosts: the running one, and those that the bundle has for other platforms.
pub(super) fn programs(bundle: Option<&BundleFile>) -> Result<Vec<ProgramPlan>, Failure> {
    let own = Platform::current();
    let mut all = Vec::new();
    if let Some(path) = ssh::own_program()(&own) {
        let (bytes, sha256) = hashed(&path).kind(Kind::Error)?;
        all.push(ProgramPlan {
            platform: own.to_string(),
            bytes,
            sha256,
        });
    }
    let members = bundle.map(|bundle| bundle.index().members.iter());
    for member in members
        .into_iter()
        .flatten()
        .filter(|member| member.kind == Member::Verifier)
    {
        let platform = member
            .path
            .as_str()
            .trim_start_matches("verifier-")
            .replace('-', "/");
        if platform != own.to_string() {
            all.push(ProgramPlan {
                platform,
                bytes: member.size,
                sha256: member.sha256.hex(),
            });
        }
    }
    Ok(all)
}

fn hashed(path: &Path) -> io::Result<(u64, String)> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Hasher::new();
    let mut chunk = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok((bytes, hash.finish().hex()));
        }
        bytes += u64::try_from(read).unwrap_or_default();
        hash.update(&chunk[..read]);
    }
}

/// Returns what is read on this machine whatever is written.
pub(super) fn here(site: &Site, site_file: &Path, bundle: Option<&Path>, writes: Vec<String>) -> HerePlan {
    let shown = |path: &Path| path.display().to_string();
    let mut reads = vec![shown(site_file), shown(&site.kubeconfig)];
    reads.extend(bundle.map(shown));
    for host in &site.hosts {
        let ssh = site.ssh_of(host);
        let files = [ssh.identity, ssh.certificate, ssh.known_hosts, ssh.password_file];
        for file in files.iter().flatten().map(|file| shown(file)) {
            if !reads.contains(&file) {
                reads.push(file);
            }
        }
    }
    HerePlan { reads, writes }
}

/// Returns where the API server is, as the kubeconfig has it; none where that cannot be read: a plan needs no kubeconfig.
pub(super) async fn server(site: &Site) -> Option<String> {
    let target = Target::read(&site.kubeconfig).await.ok()?;
    Some(target.server().to_owned())
}

/// Prints a plan.
pub(super) fn print(plan: &Plan, form: Form, lang: Lang) -> Result<u8, Failure> {
    match form {
        Form::Json => cli::write_json(&mut io::stdout(), plan)?,
        Form::Text => cli::write_text(&mut io::stdout(), &text(plan, lang))?,
    }
    Ok(cli::exit::PASS)
}

fn text(plan: &Plan, lang: Lang) -> String {
    let say = |phrase: Phrase| catalogue::say(phrase, lang);
    let (checks, left) = (&plan.checks.len(), &plan.not_run.len());
    let mut lines = vec![say(phrase::PlanHead { checks, left }.into())];
    if plan.read_only {
        lines.push(say(phrase::PlanReads.into()));
    }
    lines.extend(plan.checks.chunks(6).map(|part| format!("  {}", part.join(" "))));
    let files = &plan.here.reads.join(", ");
    lines.push(say(phrase::PlanHereReads { files }.into()));
    if !plan.here.writes.is_empty() {
        let files = &plan.here.writes.join(", ");
        lines.push(say(phrase::PlanHereWrites { files }.into()));
    }
    for program in &plan.programs {
        let ProgramPlan {
            platform,
            bytes,
            sha256,
        } = program;
        lines.push(say(phrase::PlanProgram {
            platform,
            bytes,
            sha256,
        }
        .into()));
    }
    for host in &plan.hosts {
        of_host(&mut lines, host, &say);
    }
    of_api(&mut lines, plan, &say);
    lines.join("\n") + "\n"
}

fn of_host(lines: &mut Vec<String>, plan: &HostPlan, say: &dyn Fn(Phrase) -> String) {
    let (host, user, address, port) = (&plan.name, &plan.user, &plan.address, &plan.port);
    lines.push(say(phrase::PlanHost {
        host,
        user,
        address,
        port,
    }
    .into()));
    let mut add = |phrase: Phrase| lines.push(format!("  {}", say(phrase)));
    if !plan.via.is_empty() {
        add(phrase::PlanVia {
            via: &plan.via.join(", "),
        }
        .into());
    }
    if plan.sudo {
        add(phrase::PlanSudo.into());
    }
    let directories = &plan.directories.join(", ");
    add(phrase::PlanPlaces { directories }.into());
    for command in &plan.commands {
        add(phrase::PlanCommand { command }.into());
    }
    if let Some(load) = &plan.load {
        let (images, blobs, bytes) = (&load.images.len(), &load.blobs, &load.bytes);
        add(phrase::PlanLoad { images, blobs, bytes }.into());
    }
    for request in &plan.requests {
        let touches = &touched(request);
        let by = &request.by.iter().copied().collect::<Vec<_>>().join(", ");
        let request = &request.request;
        add(phrase::PlanRequest { request, touches, by }.into());
    }
}

/// Returns what a request touches, without a word of ours between.
fn touched(request: &RequestPlan) -> String {
    let runs = request.runs.iter().map(|program| format!("$ {program}"));
    let makes = request.makes.iter().map(|made| format!("+ {made}"));
    let others = request
        .reads
        .iter()
        .chain(request.asks)
        .map(|text| (*text).to_owned());
    others.chain(runs).chain(makes).collect::<Vec<_>>().join(", ")
}

fn of_api(lines: &mut Vec<String>, plan: &Plan, say: &dyn Fn(Phrase) -> String) {
    let api = &plan.api;
    let server = api.server.as_deref().unwrap_or("kubeconfig");
    lines.push(say(phrase::PlanApi { server: &server }.into()));
    let mut add = |phrase: Phrase| lines.push(format!("  {}", say(phrase)));
    if let Some(via) = &api.via {
        add(phrase::PlanVia { via }.into());
    }
    for (permission, by) in &api.permissions {
        let by = &by.iter().copied().collect::<Vec<_>>().join(", ");
        add(phrase::PlanPermission { permission, by }.into());
    }
    add(phrase::PlanPaths {
        paths: &api.paths.join(", "),
    }
    .into());
    match &api.namespace {
        Some(namespace) => add(phrase::PlanMakes {
            namespace,
            makes: &api.makes.join(", "),
            label: &api.label,
        }
        .into()),
        None => add(phrase::PlanMakesNothing.into()),
    }
}

//! Answers to questions that nobody asked to the letter, made of answers that say the same: whoever gathers on a console
//! does not know the site file. What cannot be made so is not made.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Serialize;
use serde_json::Value;

use super::Reading;
use super::reading::Answer;
use crate::protocol::{
    CriImage, CriImageStatus, CriStatusReply, NameFound, Names, NamesReply, Persistence, PersistenceReply,
    Request, RouteAsk, RouteLookup, RouteLookups, Sysctls, TlsPeek, TlsPeekReply,
};

/// Returns what was answered to a request, or to others that together say the same.
pub fn answer(reading: &Reading, request: &Request) -> Option<Arc<str>> {
    reading
        .get(&Reading::key(request))
        .or_else(|| by_others(reading, request))
}

/// Answers a request by what other answers say; nothing where they do not say it.
fn by_others(reading: &Reading, request: &Request) -> Option<Arc<str>> {
    let made = match request {
        Request::Names(ask) => said(&names(reading, ask)?),
        Request::RouteLookups(ask) => said(&lookups(reading, ask)?),
        Request::Sysctls(ask) => said(&sysctls(reading, ask)?),
        Request::TlsPeek(ask) => said(&peek(reading, ask)?),
        Request::Persistence(ask) => said(&persistence(reading, ask)?),
        Request::CriImageStatus(ask) => {
            return at_the_usual_socket(reading, request).or_else(|| image(reading, ask));
        }
        _ => None,
    };
    made.or_else(|| at_the_usual_socket(reading, request))
}

fn said<T: Serialize>(reply: &T) -> Option<Arc<str>> {
    serde_json::to_string(&Answer::Ok(reply)).ok().map(Into::into)
}

/// Returns the answer to the same question without a socket, where the runtime that was found is at the one it names.
fn at_the_usual_socket(reading: &Reading, request: &Request) -> Option<Arc<str>> {
    let mut question = serde_json::to_value(request).ok()?;
    let named = question.get("socket")?.as_str()?.to_owned();
    let statuses = reading.of_kind::<CriStatusReply>("cri-status");
    let usual = statuses
        .iter()
        .find(|(question, _)| question.get("socket") == Some(&Value::Null));
    if path(&usual?.1.socket) != path(&named) {
        return None;
    }
    question["socket"] = Value::Null;
    reading.get(&question.to_string())
}

/// Returns the path of a socket: /var/run is another name of /run.
fn path(socket: &str) -> &str {
    let path = socket.strip_prefix("unix://").unwrap_or(socket);
    path.strip_prefix("/var")
        .filter(|rest| rest.starts_with("/run/"))
        .unwrap_or(path)
}

/// Returns what names mean. One that was not asked for is unknown where no file has it and there is nobody else to ask.
fn names(reading: &Reading, ask: &Names) -> Option<NamesReply> {
    let mut replies = reading
        .of_kind::<NamesReply>("names")
        .into_iter()
        .map(|(_, reply)| reply);
    let mut all = replies.next()?;
    for reply in replies {
        fill(&mut all.names, reply.names);
    }
    let alone = all.servers.is_empty() && all.unasked.is_empty();
    let of = |name: &String| {
        let known = all.names.get(name).cloned();
        let found = known.or_else(|| alone.then_some(NameFound::Silent))?;
        Some((name.clone(), found))
    };
    let asked = ask.names.iter().chain(&all.api_server);
    let names: BTreeMap<String, NameFound> = asked.map(of).collect::<Option<_>>()?;
    Some(NamesReply { names, ..all })
}

/// Returns what the kernel does with packets: as it was asked, or as it does with those to an address that no route names,
/// where no route names this one either.
fn lookups(reading: &Reading, ask: &RouteLookups) -> Option<Vec<RouteLookup>> {
    let replies = reading.of_kind::<Vec<RouteLookup>>("route-lookups");
    let known: Vec<RouteLookup> = replies.into_iter().flat_map(|(_, reply)| reply).collect();
    let mut found = Vec::new();
    for asked in &ask.asks {
        let same = known.iter().find(|known| known.ask == *asked);
        found.push(same.cloned().or_else(|| by_another(&known, *asked))?);
    }
    // What has a route of its own within a network, and not the network's own route.
    let is_part = |lookup: &&RouteLookup| {
        let own = |network: &&IpNet| network.contains(&lookup.ask.to) && lookup.network != Some(**network);
        lookup.ask.from.is_none()
            && lookup.network.is_some()
            && ask.within.iter().any(|network| own(&network))
    };
    for lookup in known.iter().filter(is_part) {
        if found.iter().all(|other| other.ask != lookup.ask) {
            found.push(lookup.clone());
        }
    }
    Some(found)
}

/// Returns the way of another packet that the same route takes: one into the smallest network that has this address.
fn by_another(known: &[RouteLookup], asked: RouteAsk) -> Option<RouteLookup> {
    let family = |to: IpAddr| to.is_ipv4() == asked.to.is_ipv4();
    let fits = known
        .iter()
        .filter(|known| known.ask.from == asked.from && family(known.ask.to));
    let length = |lookup: &RouteLookup| lookup.network.map_or(0, |network| network.prefix_len());
    let covers = |lookup: &&RouteLookup| {
        lookup.network.map_or_else(
            // Nothing has a route for it, or a default route does.
            || RouteLookups::NOWHERE.contains(&lookup.ask.to),
            |network| network.contains(&asked.to),
        )
    };
    let found = fits.filter(covers).max_by_key(|lookup| length(lookup))?;
    Some(RouteLookup {
        ask: asked,
        ..found.clone()
    })
}

fn sysctls(reading: &Reading, ask: &Sysctls) -> Option<BTreeMap<String, Option<String>>> {
    let replies = reading.of_kind::<BTreeMap<String, Option<String>>>("sysctls");
    let of = |key: &String| {
        let value = replies.iter().find_map(|(_, values)| values.get(key))?;
        Some((key.clone(), value.clone()))
    };
    ask.keys.iter().map(of).collect()
}

/// Returns what of these things comes back at boot, each as whichever question about it was answered. What processes read and what
/// lies in memory is told of what was asked for alone.
fn persistence(reading: &Reading, ask: &Persistence) -> Option<PersistenceReply> {
    let replies = reading.of_kind::<PersistenceReply>("persistence");
    let covers = |(question, _): &(Value, PersistenceReply)| {
        let asked: Option<Persistence> = serde_json::from_value(question.clone()).ok();
        asked.is_some_and(|asked| {
            ask.inputs.iter().all(|own| asked.inputs.contains(own))
                && ask.directories.iter().all(|own| asked.directories.contains(own))
        })
    };
    let mut one = replies.iter().find(|reply| covers(reply))?.1.clone();
    for (_, other) in replies {
        fill(&mut one.units, other.units);
        fill(&mut one.sysctls, other.sysctls);
        fill(&mut one.modules, other.modules);
        fill(&mut one.routes, other.routes);
    }
    Some(PersistenceReply {
        units: only(one.units, &ask.units)?,
        sysctls: only(one.sysctls, &ask.keys)?,
        modules: only(one.modules, &ask.modules)?,
        routes: only(one.routes, &ask.networks)?,
        ..one
    })
}

/// Adds what is not known yet: a later reading's answer counts.
fn fill<K: Ord, V>(known: &mut BTreeMap<K, V>, others: BTreeMap<K, V>) {
    for (key, value) in others {
        known.entry(key).or_insert(value);
    }
}

/// Returns what is known of these; nothing where one of them is not known.
fn only<K: Ord + Clone, V>(mut known: BTreeMap<K, V>, keys: &[K]) -> Option<BTreeMap<K, V>> {
    let of = |key: &K| Some((key.clone(), known.remove(key)?));
    keys.iter().map(of).collect()
}

/// Returns what a server of the host shows: it was asked at the address that the host itself has first, and listens on all of them.
fn peek(reading: &Reading, ask: &TlsPeek) -> Option<TlsPeekReply> {
    let same_port = |question: &Value| {
        let asked: Option<TlsPeek> = serde_json::from_value(question.clone()).ok();
        asked.is_some_and(|asked| asked.to.port() == ask.to.port() && asked.name == ask.name)
    };
    let replies = reading.of_kind::<TlsPeekReply>("tls-peek").into_iter();
    let mut same = replies
        .filter(|(question, _)| same_port(question))
        .map(|(_, reply)| reply);
    let first = same.next()?;
    // Two listeners on one port are two things.
    same.all(|other| other == first).then_some(first)
}

/// Returns the image that the runtime finds by a name: that of its list which has it, as it was told when it was asked for by
/// another of its names. What no image of the list is called it does not find.
fn image(reading: &Reading, ask: &CriImageStatus) -> Option<Arc<str>> {
    let lists = reading.of_kind::<Vec<CriImage>>("cri-images");
    let (_, list) = lists.first()?;
    let is_called = |image: &&CriImage| {
        let names = image.tags.iter().chain(&image.digests);
        image.id == ask.reference || names.into_iter().any(|name| *name == ask.reference)
    };
    let Some(listed) = list.iter().find(is_called) else {
        return said(&None::<CriImage>);
    };
    let told = reading.of_kind::<Option<CriImage>>("cri-image-status");
    let told = told.into_iter().filter_map(|(_, image)| image);
    let found = told.into_iter().find(|image| image.id == listed.id)?;
    said(&Some(found))
}

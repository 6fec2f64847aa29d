//! Many datagrams at once, each from a port of its own, so that a Service leads each anew; and who answered them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{AGAIN, EchoError, LONGEST, TOKEN};
use crate::host::netns::{self, Sandboxes};
use crate::http;
use crate::protocol::{EchoSurvey, EchoSurveyReply, Place};

/// Sends the datagrams and counts who answers.
pub(crate) async fn survey(ask: EchoSurvey, sandboxes: &Sandboxes) -> Result<EchoSurveyReply, EchoError> {
    match &ask.from {
        Place::Host => Ok(all(ask).await),
        Place::Sandbox(id) => {
            let namespace = sandboxes.namespace(id).await?;
            Ok(netns::within(namespace, move || all(ask)).await?)
        }
    }
}

async fn all(ask: EchoSurvey) -> EchoSurveyReply {
    let limit = Duration::from_millis(ask.timeout_millis).min(LONGEST);
    let sent = (0..ask.datagrams.min(EchoSurvey::MOST)).map(|_| one(ask.to, ask.token, limit));
    let mut by = BTreeMap::new();
    let mut reply = EchoSurveyReply::default();
    for ended in futures::future::join_all(sent).await {
        match ended {
            Ok(Some(mark)) => *by.entry(mark).or_default() += 1,
            Ok(None) => reply.lost += 1,
            Err(error) => {
                reply.lost += 1;
                reply.error = Some(http::words(&error));
            }
        }
    }
    reply.answered = by.into_iter().collect();
    reply
}

/// Sends one until somebody answers; returns who, or nothing where nobody did in time.
async fn one(to: SocketAddr, token: u64, limit: Duration) -> io::Result<Option<u64>> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    let sent = token.to_be_bytes();
    let mut back = [0; 2 * TOKEN];
    let since = Instant::now();
    while let Some(left) = limit.checked_sub(since.elapsed()) {
        socket.send(&sent).await?;
        let Ok(got) = timeout(left.min(AGAIN), socket.recv(&mut back)).await else {
            continue;
        };
        let (head, mark) = back.split_at(TOKEN);
        if got? == back.len() && head == sent {
            return Ok(mark.try_into().ok().map(u64::from_be_bytes));
        }
    }
    Ok(None)
}

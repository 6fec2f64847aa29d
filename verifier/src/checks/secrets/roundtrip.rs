//! `secrets.roundtrip`: a Secret is read back as it was written.

use bundle::Digest;
use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, ClusterError, Permission};
use crate::findings::{Cause, Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::suite::fixtures::{Canaries, Canary, Fixture};
use crate::suite::{Check, Ctx, Expect, Member, Probe, Scope};

pub(super) const CHECK: Check = Check::of::<Roundtrip>("secrets.roundtrip", Scope::Cluster)
    .needs(&[Fixture::Canary])
    .permissions(&[Permission::within("get", "", "secrets")]);

struct Roundtrip;

/// The values themselves stay here: digests tell whether they are the same.
#[derive(Serialize, Deserialize)]
struct Facts {
    /// `namespace/name`.
    secret: String,
    written: Value,
    read: Read,
    /// What one API server wrote and another one was asked for.
    #[serde(default)]
    crossed: Vec<Crossed>,
}

/// A canary of one API server, as another one reads it.
#[derive(Serialize, Deserialize)]
struct Crossed {
    secret: String,
    /// The host of the server that wrote it.
    writer: String,
    /// The host of the server that was asked for it.
    reader: String,
    written: Value,
    /// What came, or why nothing is known of it.
    read: Result<Read, Cause>,
}

#[derive(Serialize, Deserialize)]
struct Value {
    sha256: Digest,
    length: usize,
}

#[derive(Serialize, Deserialize)]
enum Read {
    /// This came back.
    Value(Value),
    /// The Secret is there without its value.
    Nothing,
    /// The server did not give it.
    Refused { code: u16, message: String },
}

impl Probe for Roundtrip {
    type Facts = Facts;

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Unjudged> {
        let canary = ctx.fixtures().canary(ctx).await?;
        let read = read(ctx.api()?, &canary).await?;
        let canaries = ctx.fixtures().canaries(ctx).await?;
        Ok(Facts {
            secret: format!("{}/{}", canary.namespace, canary.name),
            written: digest(canary.value.as_bytes()),
            read,
            crossed: crossed(&canaries).await,
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let secret = &facts.secret;
        let own = wrong(secret, &facts.written, &facts.read).or_else(|| match &facts.read {
            Read::Refused { code, message } => Some(Finding::fail(cause::SecretUnreadable {
                secret,
                code,
                message,
            })),
            Read::Value(_) | Read::Nothing => None,
        });
        let crossed = facts.crossed.iter().filter_map(Crossed::finding);
        Ok(own.into_iter().chain(crossed).collect())
    }

    fn evidence(facts: &Facts, _: &Expect<'_>) -> Vec<Evidence> {
        let written = phrase::SecretWritten {
            length: &facts.written.length,
            sha256: &facts.written.sha256.hex(),
        };
        let read = match &facts.read {
            Read::Value(Value { length, sha256 }) => {
                let sha256 = &sha256.hex();
                Line::said(phrase::SecretRead { length, sha256 })
            }
            Read::Nothing => Line::said(phrase::SecretReadEmpty),
            Read::Refused { code, message } => Line::said(phrase::SecretReadRefused { code, message }),
        };
        let title = phrase::SecretThroughApi {
            secret: &facts.secret,
        };
        let crossed = facts.crossed.iter().map(|crossed| {
            let Crossed {
                secret,
                writer,
                reader,
                ..
            } = crossed;
            match &crossed.read {
                Ok(Read::Value(_)) => Line::said(phrase::SecretCrossed {
                    secret,
                    writer,
                    reader,
                }),
                _ => Line::said(phrase::SecretNotCrossed {
                    secret,
                    writer,
                    reader,
                }),
            }
        });
        Evidence::lines(title, [Line::said(written), read].into_iter().chain(crossed))
            .into_iter()
            .collect()
    }
}

/// Reads a canary.
async fn read(server: &Cluster, canary: &Canary) -> Result<Read, ClusterError> {
    match server.secret(&canary.namespace, &canary.name).await {
        Ok(Some(value)) => Ok(Read::Value(digest(&value))),
        Ok(None) => Ok(Read::Nothing),
        Err(ClusterError::Refused {
            code: code @ (404 | 500..),
            message,
            ..
        }) => Ok(Read::Refused { code, message }),
        Err(error) => Err(error),
    }
}

/// Reads each server's canary through all the others.
async fn crossed(canaries: &Canaries) -> Vec<Crossed> {
    let written = || {
        let own = canaries.iter();
        own.filter_map(|(host, own)| Some((host, own.as_ref().ok()?)))
    };
    let pairs = written().flat_map(|writer| written().map(move |reader| (writer, reader)));
    let reads = pairs.filter(|((writer, _), (reader, _))| writer != reader);
    let reads = reads.map(|((writer, own), (reader, other))| async move {
        let Canary {
            namespace,
            name,
            value,
        } = &own.canary;
        let read = read(&other.server, &own.canary).await;
        Crossed {
            secret: format!("{namespace}/{name}"),
            writer: writer.clone(),
            reader: reader.clone(),
            written: digest(value.as_bytes()),
            read: read.map_err(|error| Unjudged::from(error).into_cause()),
        }
    });
    futures::future::join_all(reads).await
}

impl Crossed {
    fn finding(&self) -> Option<Finding> {
        let read = match &self.read {
            Ok(read) => read,
            Err(cause) => return Some(Finding::error(cause.clone()).of(&self.reader)),
        };
        let found = match read {
            Read::Refused { code, message } => Finding::fail(cause::SecretUnreadableThere {
                secret: &self.secret,
                writer: &self.writer,
                reader: &self.reader,
                code,
                message,
            }),
            _ => wrong(&self.secret, &self.written, read)?,
        };
        Some(found.of(&self.reader))
    }
}

/// Returns what is wrong with a value that came back.
fn wrong(secret: &str, written: &Value, read: &Read) -> Option<Finding> {
    let (secret, length) = (&secret, &written.length);
    match read {
        Read::Value(Value { sha256, .. }) if *sha256 == written.sha256 => None,
        Read::Value(Value { length: found, .. }) => Some(Finding::fail(cause::SecretDiffers {
            secret,
            written: length,
            found,
        })),
        Read::Nothing => Some(Finding::fail(cause::SecretEmpty {
            secret,
            written: length,
        })),
        Read::Refused { .. } => None,
    }
}

fn digest(value: &[u8]) -> Value {
    Value {
        sha256: Digest::of(value),
        length: value.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, judged, site};
    use crate::findings::{CauseId, Outcome};

    fn judge(read: Read) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            secret: "verifier-x/canary".to_owned(),
            written: digest(b"verifier-canary-x"),
            read,
            crossed: Vec::new(),
        };
        judged::<Roundtrip>(&facts, &expect(&site(), ""))
    }

    #[test]
    fn only_the_very_value_passes() {
        assert_eq!(
            judge(Read::Value(digest(b"verifier-canary-x"))),
            (Outcome::Pass, None)
        );
        let differs = (Outcome::Fail, Some(CauseId::SecretDiffers));
        assert_eq!(judge(Read::Value(digest(b"verifier-canary-y"))), differs);
        assert_eq!(judge(Read::Value(digest(b""))), differs);
        assert_eq!(judge(Read::Nothing), (Outcome::Fail, Some(CauseId::SecretEmpty)));
    }

    #[test]
    fn what_one_server_wrote_and_another_cannot_read_names_both() {
        let cross = |read: Result<Read, Cause>| Facts {
            secret: "verifier-x/canary".to_owned(),
            written: digest(b"x"),
            read: Read::Value(digest(b"x")),
            crossed: vec![Crossed {
                secret: "verifier-x/canary-0".to_owned(),
                writer: "server".to_owned(),
                reader: "server-2".to_owned(),
                written: digest(b"y"),
                read,
            }],
        };
        let judge = |read| judged::<Roundtrip>(&cross(read), &expect(&site(), ""));
        assert_eq!(judge(Ok(Read::Value(digest(b"y")))), (Outcome::Pass, None));
        let differs = (Outcome::Fail, Some(CauseId::SecretDiffers));
        assert_eq!(judge(Ok(Read::Value(digest(b"z")))), differs);
        let refused = || Read::Refused {
            code: 500,
            message: "Internal error occurred: no matching prefix found".to_owned(),
        };
        let there = (Outcome::Fail, Some(CauseId::SecretUnreadableThere));
        assert_eq!(judge(Ok(refused())), there);
        let found = Roundtrip::judge(&cross(Ok(refused())), &expect(&site(), "")).unwrap();
        assert_eq!(found[0].subject.as_deref(), Some("server-2"));
        let lost = cause::ApiUnreachable {
            server: &"https://192.168.10.92:6443",
            reason: &"refused",
        };
        assert_eq!(
            judge(Err(lost.into())),
            (Outcome::Error, Some(CauseId::ApiUnreachable))
        );
    }

    #[test]
    fn a_secret_that_the_server_cannot_give_back_fails_with_its_words() {
        let read = Read::Refused {
            code: 500,
            message: "Internal error occurred: unable to transform key".to_owned(),
        };
        assert_eq!(judge(read), (Outcome::Fail, Some(CauseId::SecretUnreadable)));
    }
}

//! `secrets.roundtrip`: a Secret is read back as it was written.

use bundle::Digest;
use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterError, Permission};
use crate::findings::{Evidence, Finding, Judged, Line, Unjudged, cause, phrase};
use crate::suite::fixtures::Fixture;
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
        let read = match ctx.api()?.secret(&canary.namespace, &canary.name).await {
            Ok(Some(value)) => Read::Value(digest(&value)),
            Ok(None) => Read::Nothing,
            Err(ClusterError::Refused {
                code: code @ (404 | 500..),
                message,
                ..
            }) => Read::Refused { code, message },
            Err(error) => return Err(error.into()),
        };
        Ok(Facts {
            secret: format!("{}/{}", canary.namespace, canary.name),
            written: digest(canary.value.as_bytes()),
            read,
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Judged {
        let secret = &facts.secret;
        let written = &facts.written.length;
        let finding = match &facts.read {
            Read::Value(read) if read.sha256 == facts.written.sha256 => return Ok(Vec::new()),
            Read::Value(Value { length: found, .. }) => Finding::fail(cause::SecretDiffers {
                secret,
                written,
                found,
            }),
            Read::Nothing => Finding::fail(cause::SecretEmpty { secret, written }),
            Read::Refused { code, message } => Finding::fail(cause::SecretUnreadable {
                secret,
                code,
                message,
            }),
        };
        Ok(vec![finding])
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
        Evidence::lines(title, [Line::said(written), read])
            .into_iter()
            .collect()
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
    fn a_secret_that_the_server_cannot_give_back_fails_with_its_words() {
        let read = Read::Refused {
            code: 500,
            message: "Internal error occurred: unable to transform key".to_owned(),
        };
        assert_eq!(judge(read), (Outcome::Fail, Some(CauseId::SecretUnreadable)));
    }
}

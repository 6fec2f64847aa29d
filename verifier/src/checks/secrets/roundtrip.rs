//! `secrets.roundtrip`: a Secret is read back as it was written.

use bundle::Digest;
use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterError, Permission};
use crate::findings::{Cause, CauseId, Evidence, Finding, Trouble, Verdict};
use crate::suite::fixtures::Fixture;
use crate::suite::{About, Check, Ctx, Expect, Member, Probe, Scope, cause_of};

pub(super) const CHECK: Check = Check::of::<Roundtrip>(About {
    id: "secrets.roundtrip",
    scope: Scope::Cluster,
    needs: &[Fixture::Canary],
    permissions: &[Permission::within("get", "", "secrets")],
    summary: "a Secret that was created is read back with the same value",
    explain: "Creates a Secret of a random value in the run's namespace and reads it back through the API server, which \
has to decrypt what it stored. The value must be the same, byte for byte. What kubectl get secret -o yaml shows is \
base64, which anybody undoes: it says nothing about encryption; secrets.encrypted-at-rest does.\n\nUsual causes of \
failure, in order: the API server cannot decrypt what another one encrypted, because their encryption-config.yaml \
differ; a key was removed that still has Secrets; a KMS plugin is gone; etcd takes no writes.\n\nWhere to look: \
encryption-config.yaml of every API server, `journalctl -u kube-apiserver` for \"unable to transform value\".",
    by_hand: "kubectl create secret generic verifier-by-hand --from-literal=mykey=mydata; \
kubectl get secret verifier-by-hand -o jsonpath='{.data.mykey}' | base64 -d",
});

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

    async fn gather(ctx: &Ctx, _: &Member) -> Result<Facts, Trouble> {
        let canary = ctx.fixtures().canary(ctx).await?;
        let read = match ctx.api()?.secret(&canary.namespace, &canary.name).await {
            Ok(Some(value)) => Read::Value(digest(&value)),
            Ok(None) => Read::Nothing,
            Err(ClusterError::Refused {
                code: code @ (404 | 500..),
                message,
                ..
            }) => Read::Refused { code, message },
            Err(error) => return Err(Trouble::error(cause_of(&error))),
        };
        Ok(Facts {
            secret: format!("{}/{}", canary.namespace, canary.name),
            written: digest(canary.value.as_bytes()),
            read,
        })
    }

    fn judge(facts: &Facts, _: &Expect<'_>) -> Verdict {
        let of = |id| Cause::new(id).with("secret", &facts.secret);
        let differs = |found: String| {
            let cause = of(CauseId::SecretDiffers).with("found", found);
            cause.with("written", format!("{} bytes", facts.written.length))
        };
        let cause = match &facts.read {
            Read::Value(read) if read.sha256 == facts.written.sha256 => None,
            Read::Value(read) => Some(differs(format!("{} other bytes", read.length))),
            Read::Nothing => Some(differs("nothing".to_owned())),
            Read::Refused { code, message } => {
                let cause = of(CauseId::SecretUnreadable).with("message", message);
                Some(cause.with("code", code))
            }
        };
        let read = match &facts.read {
            Read::Value(value) => format!("{} bytes, sha256 {}", value.length, value.sha256.hex()),
            Read::Nothing => "no value".to_owned(),
            Read::Refused { code, message } => format!("{code} {message}"),
        };
        let written = format!(
            "{} bytes, sha256 {}",
            facts.written.length,
            facts.written.sha256.hex()
        );
        let text = format!("written: {written}\nread:    {read}");
        let evidence = Evidence::new(format!("Secret {} through the API", facts.secret), text);
        Verdict::of(cause.map(Finding::fail).into_iter().collect()).with([evidence])
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
    use crate::checks::testing::{expect, seen, site};
    use crate::findings::Outcome;

    fn judge(read: Read) -> (Outcome, Option<CauseId>) {
        let facts = Facts {
            secret: "verifier-x/canary".to_owned(),
            written: digest(b"verifier-canary-x"),
            read,
        };
        seen(&Roundtrip::judge(&facts, &expect(&site(), "")))
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
        assert_eq!(judge(Read::Nothing), differs);
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

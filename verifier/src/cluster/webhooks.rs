//! Webhooks of admission: what they call, and whether anybody is there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use x509_parser::pem::Pem;

use super::backend::{Backend, ServicePort};
use super::{Cluster, ClusterError};

/// The most certificates that are read of a bundle.
const CERTIFICATES: usize = 64;

/// A webhook that is called for some requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookFacts {
    /// `ValidatingWebhookConfiguration` or `MutatingWebhookConfiguration`.
    pub kind: String,
    /// The configuration that it stands in.
    pub configuration: String,
    /// Its name.
    pub name: String,
    /// Whether requests fail when it does not answer (`failurePolicy: Fail`).
    pub fails: bool,
    /// Whom it calls; absent for one that is called by URL, where nobody here can look.
    pub service: Option<ServicePort>,
    /// What stands behind that; absent: nothing was to be looked at.
    pub backend: Option<Backend>,
    /// The authority that its certificate must be of.
    pub authority: Authority,
}

/// The certificates of a `caBundle`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authority {
    /// None is named: the API server's own roots count.
    Absent,
    /// No certificate can be read.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// The one that is good the longest.
    Good {
        /// From when on.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
}

impl Cluster {
    /// Returns the webhooks of admission that are called for anything, and the time by the API server's clock.
    pub async fn webhooks(&self) -> Result<(Vec<WebhookFacts>, Timestamp), ClusterError> {
        self.kept("webhooks", self.webhooks_now()).await
    }

    async fn webhooks_now(&self) -> Result<(Vec<WebhookFacts>, Timestamp), ClusterError> {
        let (webhooks, now) = futures::try_join!(self.admission(), self.now())?;
        let called = webhooks.iter().filter_map(|webhook| webhook.service.as_ref());
        let behind = self.behind(called).await?;
        let facts = webhooks.into_iter().map(|webhook| WebhookFacts {
            backend: (webhook.service.as_ref())
                .and_then(|service| behind.get(service))
                .map(|behind| behind.backend.clone()),
            kind: webhook.kind.to_owned(),
            configuration: webhook.configuration,
            name: webhook.name,
            fails: webhook.fails,
            service: webhook.service,
            authority: authority(&webhook.authorities),
        });
        Ok((facts.collect(), now))
    }
}

/// Returns what the certificates of a `caBundle` in PEM come to.
fn authority(bundle: &[u8]) -> Authority {
    if bundle.is_empty() {
        return Authority::Absent;
    }
    let mut longest: Option<(Timestamp, Timestamp)> = None;
    let mut fault = None;
    for pem in Pem::iter_from_buffer(bundle).take(CERTIFICATES) {
        match pem.map_err(|error| error.to_string()).and_then(|pem| dates(&pem)) {
            Ok(dates) if longest.is_none_or(|longest| longest.1 < dates.1) => longest = Some(dates),
            Ok(_) => {}
            Err(error) => fault = Some(error),
        }
    }
    match longest {
        Some((from, until)) => Authority::Good { from, until },
        None => Authority::Unreadable {
            reason: fault.unwrap_or_else(|| "no certificate in PEM".to_owned()),
        },
    }
}

/// Returns from when and until when a certificate is good.
fn dates(pem: &Pem) -> Result<(Timestamp, Timestamp), String> {
    let certificate = pem.parse_x509().map_err(|error| error.to_string())?;
    let validity = certificate.validity();
    let time = |seconds: i64| Timestamp::from_second(seconds).map_err(|error| error.to_string());
    Ok((
        time(validity.not_before.timestamp())?,
        time(validity.not_after.timestamp())?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(until: i32) -> String {
        let mut params = rcgen::CertificateParams::new(vec!["ca".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    #[test]
    fn of_several_authorities_the_one_counts_that_is_good_the_longest() {
        let Authority::Good { until, .. } = authority((certificate(2021) + &certificate(2031)).as_bytes())
        else {
            panic!("not read");
        };
        assert_eq!(until.to_string(), "2031-01-01T00:00:00Z");
    }

    #[test]
    fn a_bundle_that_is_no_certificate_is_unreadable_and_an_empty_one_is_absent() {
        assert_eq!(authority(b""), Authority::Absent);
        let key = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bad in ["Cg==", key] {
            assert!(
                matches!(authority(bad.as_bytes()), Authority::Unreadable { .. }),
                "{bad}"
            );
        }
    }
}

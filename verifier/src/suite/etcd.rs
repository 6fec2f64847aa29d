//! How etcd is opened on its hosts.

use crate::protocol::EtcdTls;
use crate::site::Etcd;

/// Returns the files that open etcd, as the site file names them; nothing where it is open.
pub(crate) fn etcd_tls(etcd: &Etcd) -> Option<EtcdTls> {
    etcd.ca.as_ref().map(|ca| EtcdTls {
        ca: ca.clone(),
        cert: etcd.cert.clone(),
        key: etcd.key.clone(),
    })
}

//! What a refusal of gRPC means, whoever gives it: a container runtime or etcd.

use tonic::{Code, Status};

use crate::protocol::RefusalKind;

/// Returns of what kind a refusal is.
pub(super) fn kind(status: &Status) -> RefusalKind {
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => RefusalKind::Denied,
        Code::NotFound => RefusalKind::Absent,
        Code::DeadlineExceeded => RefusalKind::Late,
        Code::Unimplemented => RefusalKind::NotImplemented,
        _ if is_late(status) => RefusalKind::Late,
        _ => RefusalKind::Failed,
    }
}

/// Returns whether the channel's own deadline came first: tonic says so with the code of a cancelled call.
pub(super) fn is_late(status: &Status) -> bool {
    status.code() == Code::Cancelled && status.message().contains("Timeout")
}

/// Returns whether no server said it: the connection broke, or could not be made again. tonic keeps the error of the
/// connection as the source, and a status that came over the wire has none.
pub(super) fn is_gone(status: &Status) -> bool {
    !is_late(status) && std::error::Error::source(status).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_of_grpc_has_its_kind() {
        let of = |code| kind(&Status::new(code, "x"));
        assert_eq!(of(Code::PermissionDenied), RefusalKind::Denied);
        assert_eq!(of(Code::NotFound), RefusalKind::Absent);
        assert_eq!(of(Code::Unimplemented), RefusalKind::NotImplemented);
        assert_eq!(of(Code::DeadlineExceeded), RefusalKind::Late);
        assert_eq!(of(Code::Cancelled), RefusalKind::Failed);
        let late = Status::cancelled("Timeout expired");
        assert_eq!(kind(&late), RefusalKind::Late);
    }
}

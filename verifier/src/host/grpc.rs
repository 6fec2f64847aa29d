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

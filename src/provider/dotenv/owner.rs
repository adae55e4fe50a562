//! Names of users, groups and of this machine.

use std::{fs, process::Command};

/// The name of a user, where this machine's own list has it.
pub(super) fn user(id: u32) -> Option<String> {
    name_in(&fs::read_to_string("/etc/passwd").ok()?, id)
}

/// The name of a group.
pub(super) fn group(id: u32) -> Option<String> {
    name_in(&fs::read_to_string("/etc/group").ok()?, id)
}

/// The name of this machine.
pub(super) fn host_name() -> Option<String> {
    let own = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = own.or_else(|| {
        let output = Command::new("uname").arg("-n").output().ok()?;
        String::from_utf8(output.stdout).ok()
    })?;
    let name = name.trim();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (!name.is_empty() && name.bytes().all(is_plain)).then(|| name.to_owned())
}

/// `NAME:…:ID:…`, as passwd(5) and group(5) have it.
fn name_in(list: &str, id: u32) -> Option<String> {
    let id = id.to_string();
    let line = list.lines().find(|line| line.split(':').nth(2) == Some(&id))?;
    line.split(':').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_number() {
        let list = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n:x:7:7::\nbroken\n";
        assert_eq!(name_in(list, 1000).as_deref(), Some("app"));
        assert_eq!((name_in(list, 1001), name_in(list, 7)), (None, None));
        assert!(host_name().is_some_and(|name| !name.is_empty()));
    }
}

//! recover.py held against repositories of format 1 that another writer makes, sound ones and tampered ones.

use std::process::Command;

use crate::servers::program;

#[test]
fn the_script_judges_every_move_of_the_other_writer() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/writer");
    let mut command = Command::new(program("python3"));
    let output = command.args(["-B", "-m", "unittest"]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

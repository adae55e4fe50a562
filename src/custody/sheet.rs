//! The text of one custodian's sheet.

use std::fmt::Write;

use zeroize::Zeroizing;

use crate::{
    repo::Epoch,
    share::{Share, ShareSetId},
};

/// Renders a sheet; the buffer is large enough that no copy of the share is left behind by growing.
pub(super) fn render(epoch: &Epoch, custodian: &str, share: &Share) -> Zeroizing<String> {
    let mut page = Zeroizing::new(String::with_capacity(8192));
    heading(&mut page, epoch, custodian, share);
    for row in share.rows() {
        page.push_str("      ");
        line(&mut page, &row);
    }
    line(&mut page, "");
    line(&mut page, "  The same in one piece (what a QR code of this sheet holds):");
    line(&mut page, "");
    page.push_str("      ");
    line(&mut page, &share.text());
    line(&mut page, &explanation(epoch));
    page
}

fn heading(page: &mut String, epoch: &Epoch, custodian: &str, share: &Share) {
    let ShareSetId(set) = share.set();
    let set = hex::encode_upper(set);
    line(page, "LIFEBOAT RECOVERY SHEET");
    line(page, "=======================");
    line(page, "");
    line(page, &format!("  Held by      {custodian}"));
    line(
        page,
        &format!(
            "  Sheet        {} of {}; any {} of them open the backup",
            share.index(),
            epoch.total,
            epoch.threshold
        ),
    );
    line(page, &format!("  Share set    {}-{}        Key epoch {}", &set[..4], &set[4..], epoch.number));
    line(page, &format!("  Repository   {}", epoch.repository));
    line(page, &format!("  Made on      {}", epoch.created));
    line(page, &format!("  Key          {}", hex::encode_upper(share.fingerprint().0)));
    line(page, "");
    line(page, "  The share, to be typed row by row (the two characters after = check the row):");
    line(page, "");
}

fn explanation(epoch: &Epoch) -> String {
    let mut text = String::new();
    let write = write!(
        text,
        "
WHAT THIS IS
  One of {total} sheets that together hold the key to a backup of production secrets. This sheet
  alone opens nothing and tells nothing. Any {threshold} of the {total} sheets open everything.

WHAT TO DO
  Keep it where only you can reach it: a safe, a sealed numbered bag. Look twice a year that it
  is there and readable. Bring it when you are asked to, in person.

WHAT NEVER TO DO
  Never photograph, scan, copy, e-mail or type it anywhere except at a recovery. Never keep it
  beside another sheet. If it is lost, or somebody may have seen it, say so the same day.

AT A RECOVERY
  lifeboat restore --repo COPY --to aws:REGION --share FILE --share FILE …
  Without the tool: RECOVER.md and recover.py lie in every copy of the repository.

WITHOUT ANY TOOL OF OURS
  Text: LB1, 74 characters of data, 13 of checksum (codex32), in the alphabet
  qpzry9x8gf2tvdw0s3jn54khce6mua7l, 5 bits each. Data, 46 bytes: kind, k, n, x, 4 bytes set, 32
  bytes y, 6 bytes of SHA-256(root key || recipient). Per byte of y, interpolate at 0 over
  GF(2^8) modulo x^8+x^4+x^3+x^2+1 the polynomial through the points (x, y) of k sheets. The 32
  bytes are an age X25519 identity (bech32, age-secret-key-). Files: age, then zstd, then JSON lines.

  Place ____________________________   Bag no. ______________________

  Date  ____________________________   Signature ____________________
",
        total = epoch.total,
        threshold = epoch.threshold,
    );
    write.expect("writing to a string does not fail");
    text
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

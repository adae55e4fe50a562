//! age over zstd: how packs and indexes are sealed and opened.
//!
//! A sealed file is what `zstd | age -r …` makes, and `age -d | zstd -d` opens it: one zstd frame inside the
//! binary age format (<https://c2sp.org/age>).

use std::io::{self, BufRead, Read, Write};

use age::stream::{StreamReader, StreamWriter};
use zeroize::Zeroizing;

use super::{DrillKey, IndexKey, Recipient, RecoveryKey};

/// Measured on 32 MiB of JSON lines, each a random password in a small JSON document: level 1 made it 6.04 times
/// smaller at 827 MB/s, level 3 only 5.38 times at 351 MB/s (random text in repeating frames does not reward
/// longer searches).
const LEVEL: i32 = 1;
/// As age's own chunks.
const BUFFER: usize = 64 * 1024;

/// Whoever can open sealed files: the recovery key, or the index key for indexes.
#[derive(Clone, Copy)]
pub enum Opener<'a> {
    /// Opens everything.
    Recovery(&'a RecoveryKey),
    /// Opens indexes.
    Index(&'a IndexKey),
    /// Opens the packs that were sealed to it too.
    Drill(&'a DrillKey),
}

/// A sealed file that does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Sealed to other keys.
    #[error("sealed to another key")]
    WrongKey,
    /// Not age, not zstd, or altered.
    #[error("damaged ({0})")]
    Damaged(&'static str),
}

/// Streams plaintext into `age(zstd(…))`. Dropping it unfinished leaves a file that does not open.
pub struct Sealer<W: Write> {
    inner: zstd::Encoder<'static, StreamWriter<W>>,
}

impl<W: Write> Sealer<W> {
    /// Starts a file that any of `recipients` can open.
    ///
    /// # Errors
    /// When `output` fails, or there is no recipient.
    pub fn new(recipients: &[Recipient], output: W) -> io::Result<Self> {
        let recipients: Vec<_> = recipients.iter().map(Recipient::to_age).collect();
        let age = age::Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as _))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?
            .wrap_output(output)?;
        Ok(Self { inner: zstd::Encoder::new(age, LEVEL)? })
    }

    /// Ends the file and gives the output back.
    ///
    /// # Errors
    /// When the output fails.
    pub fn finish(self) -> io::Result<W> {
        self.inner.finish()?.finish()
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.inner.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Opens a sealed file for streaming; nothing the reader returns before an error is authentic as a whole,
/// each chunk read is.
///
/// The file is whole only when a read returns 0: then the last age chunk, the end of the zstd frame and the end
/// of the file have been seen. Damage found while reading is [`io::ErrorKind::InvalidData`] with an
/// [`OpenError`] inside; other errors are those of `sealed`.
///
/// # Errors
/// See [`OpenError`].
pub fn open<'a, R: Read + Send + 'a>(opener: Opener<'_>, sealed: R) -> Result<Box<dyn Read + Send + 'a>, OpenError> {
    let file = age::Decryptor::new(sealed).map_err(|error| header_error(&error))?;
    let stream = match opener {
        Opener::Recovery(key) => file.decrypt(std::iter::once(&key.to_age() as _)),
        Opener::Index(key) => file.decrypt(std::iter::once(key.as_age() as _)),
        Opener::Drill(key) => file.decrypt(std::iter::once(key.as_age() as _)),
    }
    .map_err(|error| header_error(&error))?;
    let frame = zstd::Decoder::with_buffer(WipedBuffer::new(stream))
        .map_err(|_| OpenError::Damaged("not enough memory to decompress it"))?
        .single_frame();
    Ok(Box::new(Opened { frame }))
}

/// A reader that ends only where both formats say so.
struct Opened<R: Read> {
    frame: zstd::Decoder<'static, WipedBuffer<StreamReader<R>>>,
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let read = self.frame.read(buf).map_err(body_error)?;
        if read == 0 && !self.frame.get_mut().fill_buf().map_err(body_error)?.is_empty() {
            return Err(damaged("there are more bytes after the compressed data"));
        }
        Ok(read)
    }
}

/// A buffered reader whose buffer is wiped on drop (the standard one's is not).
struct WipedBuffer<R> {
    inner: R,
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
}

impl<R> WipedBuffer<R> {
    fn new(inner: R) -> Self {
        Self { inner, buffer: Zeroizing::new(vec![0; BUFFER]), start: 0, end: 0 }
    }
}

impl<R: Read> Read for WipedBuffer<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for WipedBuffer<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.end = self.inner.read(&mut self.buffer)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, amount: usize) {
        self.start = self.end.min(self.start + amount);
    }
}

fn header_error(error: &age::DecryptError) -> OpenError {
    use age::DecryptError as E;
    match error {
        E::NoMatchingKeys | E::KeyDecryptionFailed | E::ExcessiveWork { .. } => OpenError::WrongKey,
        E::InvalidMac => OpenError::Damaged("its header is altered"),
        E::UnknownFormat => OpenError::Damaged("its age version is unknown"),
        E::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => OpenError::Damaged("it is cut short"),
        E::Io(_) => OpenError::Damaged("its header could not be read"),
        _ => OpenError::Damaged("not an age file"),
    }
}

/// What age and zstd report as broken data; anything else comes from the file's reader and stays as it is.
fn body_error(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it is cut short"),
        io::ErrorKind::InvalidData => damaged("its content is altered"),
        io::ErrorKind::Other if error.raw_os_error().is_none() => damaged("its content is not zstd"),
        _ => error,
    }
}

fn damaged(how: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, OpenError::Damaged(how))
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        process::{Command, Stdio},
    };

    use proptest::prelude::*;

    use super::*;
    use crate::fsutil::{self, Access, Existing};

    fn sealed(recipients: &[Recipient], plain: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(recipients, Vec::new()).unwrap();
        sealer.write_all(plain).unwrap();
        sealer.finish().unwrap()
    }

    /// age over bytes that need not be zstd.
    fn age_over(recipient: &Recipient, content: &[u8]) -> Vec<u8> {
        age::encrypt(&recipient.to_age(), content).unwrap()
    }

    fn opened(opener: Opener<'_>, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        open(opener, bytes).ok()?.read_to_end(&mut plain).ok()?;
        Some(plain)
    }

    fn run(folder: &Path, script: &str, stdin: &[u8]) -> Vec<u8> {
        let mut child = Command::new("sh")
            .args(["-ec", script])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let bytes = stdin.to_vec();
        let writer = std::thread::spawn(move || input.write_all(&bytes));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success(), "{script}");
        output.stdout
    }

    /// Longer than two age chunks even when compressed.
    fn long_plain() -> Vec<u8> {
        let mut state = 1_u32;
        (0..300_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    #[test]
    fn every_recipient_opens_it_and_nobody_else() {
        let (recovery, index) = (RecoveryKey::generate(), IndexKey::generate());
        let bytes = sealed(&[recovery.recipient(), index.recipient()], b"content");
        assert_eq!(opened(Opener::Recovery(&recovery), &bytes).unwrap(), b"content");
        assert_eq!(opened(Opener::Index(&index), &bytes).unwrap(), b"content");
        let stranger = RecoveryKey::generate();
        assert!(matches!(open(Opener::Recovery(&stranger), &bytes[..]), Err(OpenError::WrongKey)));
        let only_recovery = sealed(&[recovery.recipient()], b"content");
        assert!(matches!(open(Opener::Index(&index), &only_recovery[..]), Err(OpenError::WrongKey)));
        assert!(Sealer::new(&[], Vec::new()).is_err());
    }

    #[test]
    fn no_flipped_byte_and_no_truncation_passes() {
        let key = IndexKey::generate();
        let plain = b"{\"name\":\"prod/db\"}\n".repeat(20);
        let bytes = sealed(&[key.recipient()], &plain);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(opened(Opener::Index(&key), &flipped), None, "flip at {at}");
            assert_eq!(opened(Opener::Index(&key), &bytes[..at]), None, "cut at {at}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(opened(Opener::Index(&key), &longer), None);
        assert_eq!(opened(Opener::Index(&key), &[&bytes[..], &bytes[..]].concat()), None);
    }

    #[test]
    fn a_long_file_cut_at_a_chunk_is_damaged() {
        let key = IndexKey::generate();
        let plain = long_plain();
        let bytes = sealed(&[key.recipient()], &plain);
        assert_eq!(opened(Opener::Index(&key), &bytes).unwrap(), plain);
        let header = bytes.len() - sealed_body(&bytes);
        for chunks in 0..4 {
            for around in [-1, 0, 1_isize] {
                let cut = (header + chunks * (BUFFER + 16)).checked_add_signed(around).unwrap();
                assert_eq!(opened(Opener::Index(&key), &bytes[..cut]), None, "cut at {cut}");
            }
        }
    }

    /// The length of everything after the header and its nonce.
    fn sealed_body(bytes: &[u8]) -> usize {
        let mac = bytes.windows(4).position(|window| window == b"\n---").unwrap() + 1;
        let line = bytes[mac..].iter().position(|&byte| byte == b'\n').unwrap() + 1;
        bytes.len() - mac - line - 16
    }

    #[test]
    fn what_is_not_exactly_one_frame_is_damaged() {
        let key = IndexKey::generate();
        let frame = zstd::encode_all(&b"content"[..], LEVEL).unwrap();
        let age = |content: &[u8]| age_over(&key.recipient(), content);
        assert_eq!(opened(Opener::Index(&key), &age(&frame)).unwrap(), b"content");
        for (what, content) in [
            ("nothing", Vec::new()),
            ("not zstd", b"content".to_vec()),
            ("cut frame", frame[..frame.len() - 1].to_vec()),
            ("a byte after it", [&frame[..], b"\0"].concat()),
            ("two frames", [&frame[..], &frame[..]].concat()),
            ("a frame far after it", [frame.clone(), vec![0; 3 * BUFFER]].concat()),
        ] {
            let bytes = age(&content);
            let mut reader = open(Opener::Index(&key), &bytes[..]).unwrap();
            let error = reader.read_to_end(&mut Vec::new()).expect_err(what);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}");
            assert!(error.into_inner().expect(what).is::<OpenError>(), "{what}");
        }
    }

    #[test]
    fn an_unfinished_sealer_leaves_a_file_that_does_not_open() {
        let key = IndexKey::generate();
        let mut bytes = Vec::new();
        let mut sealer = Sealer::new(&[key.recipient()], &mut bytes).unwrap();
        sealer.write_all(&long_plain()).unwrap();
        sealer.flush().unwrap();
        drop(sealer);
        assert_eq!(opened(Opener::Index(&key), &bytes), None);
    }

    #[test]
    fn errors_of_the_file_itself_pass_through() {
        struct Failing(io::ErrorKind);
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
        }
        let key = IndexKey::generate();
        let bytes = sealed(&[key.recipient()], &long_plain());
        let file = bytes[..100_000].chain(Failing(io::ErrorKind::TimedOut));
        let error = open(Opener::Index(&key), file).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn stock_tools_open_ours() {
        let folder = tempfile::tempdir().unwrap();
        let key = IndexKey::generate();
        fsutil::write(&folder.path().join("key"), key.to_file().as_bytes(), Access::Private, Existing::Keep).unwrap();
        for plain in [Vec::new(), b"line\n".to_vec(), long_plain()] {
            let bytes = sealed(&[RecoveryKey::generate().recipient(), key.recipient()], &plain);
            assert_eq!(run(folder.path(), "age -d -i key | zstd -dc", &bytes), plain);
        }
    }

    #[test]
    fn we_open_what_stock_tools_seal() {
        let folder = tempfile::tempdir().unwrap();
        let key = RecoveryKey::generate();
        for plain in [Vec::new(), b"line\n".to_vec(), long_plain()] {
            let bytes = run(folder.path(), &format!("zstd -c | age -r {}", key.recipient()), &plain);
            assert_eq!(opened(Opener::Recovery(&key), &bytes).unwrap(), plain);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]
        #[test]
        fn round_trip(plain in proptest::collection::vec(any::<u8>(), 0..200_000), piece in 1_usize..70_000) {
            let key = RecoveryKey::generate();
            let mut sealer = Sealer::new(&[key.recipient()], Vec::new()).unwrap();
            for part in plain.chunks(piece) {
                sealer.write_all(part).unwrap();
            }
            let bytes = sealer.finish().unwrap();
            prop_assert_eq!(opened(Opener::Recovery(&key), &bytes).unwrap(), plain);
        }
    }
}

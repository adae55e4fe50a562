//! How a value is written where its kind does not exist.

use serde::{Deserialize, Serialize};

/// How a value is written in a target that has no values of its kind. Each is a function of the value alone, so that what was
/// read back is compared with what was to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// As it is.
    #[default]
    AsIs,
    /// Text and bytes as the fields of an object: a JSON object's own fields; any other text in the field `value`; bytes in
    /// the field `base64`.
    Fields,
    /// Text that was an object's once, as that object, however its numbers are written; any other as in [`Codec::Fields`].
    Object,
    /// Fields as the text of their JSON object.
    JsonText,
    /// Undoes [`Codec::Fields`]: a lone field `value` is the text, a lone field `base64` the bytes, anything else the text
    /// of the JSON object.
    Unwrapped,
    /// Bytes as text where they are UTF-8 without NUL, else as bytes.
    TextOrBytes,
    /// Whatever it is, as its bytes.
    Bytes,
    /// Undoes [`Codec::Fields`] and [`Codec::TextOrBytes`] for a file: a lone field `value` or `base64` is its bytes.
    Contents,
    /// A `.env` file as an object of its keys, as the reader of this dialect gives them.
    Keys(String),
    /// The same as the text of that JSON object.
    KeysText(String),
    /// A JSON object as the lines of a `.env` file for the reader of this dialect.
    Lines(String),
    /// One byte that stands for nothing, where nothing empty is taken.
    Stand,
    /// Undoes [`Codec::Stand`]: text without a character.
    EmptyText,
    /// Undoes [`Codec::Stand`]: bytes without one.
    EmptyBytes,
    /// Undoes [`Codec::Bytes`] of text: bytes as text wherever they are UTF-8.
    Text,
    /// Bytes that are text as [`Codec::Fields`] does it with text.
    FieldsOfText,
    /// Bytes that are text as [`Codec::Object`] does it with text.
    ObjectOfText,
    /// [`Codec::Unwrapped`], and that as its bytes.
    UnwrappedBytes,
    /// Text as it is, fields as the text of their JSON object, bytes as base64.
    Plain,
    /// Undoes [`Codec::Plain`] for bytes: text that is base64 as the bytes, any other as it is.
    Base64,
    /// Bytes as text where [`Codec::TextOrBytes`] makes text of them, else as base64; anything else as in [`Codec::Plain`].
    TextOrBase64,
    /// [`Codec::Unwrapped`], and that as in [`Codec::Plain`].
    UnwrappedText,
    /// A file as the fields of an object: the object's own where it is spelled as it comes back; any other text in the field
    /// `value`; bytes in the field `base64`.
    FieldsOfFile,
}

impl Codec {
    /// Whether nothing is changed.
    pub fn is_as_is(&self) -> bool {
        *self == Self::AsIs
    }
}

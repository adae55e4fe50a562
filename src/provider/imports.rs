//! Restored secrets for a tool that keeps infrastructure as code: what makes it take them instead of making them again.

use std::io;

/// What the file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFormat {
    /// `import` blocks of Terraform or OpenTofu.
    Terraform,
    /// The resources to import of a change set of CloudFormation.
    CloudFormation,
}

/// Secrets by their identifiers, by name.
pub type Identifiers<'a> = dyn Iterator<Item = io::Result<String>> + 'a;

/// Writes such files.
pub trait Imports: Send + Sync {
    /// Writes the file; how many secrets it names.
    ///
    /// # Errors
    /// Those of either side, and an identifier that is none of this kind.
    fn write(&self, format: ImportFormat, secrets: &mut Identifiers<'_>, output: &mut dyn io::Write)
    -> io::Result<u64>;
}

//! The body of an HTTP message, content coding undone: an envelope, or parts of which one is.

use super::Stop;
use super::charset::{Ascii, Characters, Utf8};
use super::escape::is_space;
use super::media::MediaType;
use super::multipart::{Multipart, Root as RootPart};
use super::transfer::Transfer;

/// Finds the XML in a body and gives its characters to `T`.
#[derive(Debug)]
pub(super) struct Body<T> {
    multipart: Option<Multipart>,
    /// Nothing says what it is, so that its first byte must.
    is_guess: bool,
    root: Root<T>,
}

/// The XML's bytes.
#[derive(Debug)]
struct Root<T> {
    transfer: Transfer,
    characters: Characters,
    text: T,
}

impl<T: Utf8> Body<T> {
    /// A body that is XML, unless [`Self::content_type`] says otherwise.
    pub fn new(text: T) -> Self {
        let root = Root { transfer: Transfer::Plain, characters: Characters::new(None), text };
        Self { multipart: None, is_guess: false, root }
    }

    /// Nothing says what it is.
    pub fn guess(&mut self) {
        self.is_guess = true;
    }

    /// Who gets the characters.
    pub fn text(&self) -> &T {
        &self.root.text
    }

    /// Who gets the characters.
    pub fn text_mut(&mut self) -> &mut T {
        &mut self.root.text
    }

    /// How ASCII is written in the XML; `None` where nothing can be written into it.
    pub fn ascii(&self) -> Option<Ascii> {
        matches!(self.root.transfer, Transfer::Plain).then(|| self.root.characters.ascii()).flatten()
    }

    /// Takes what the media type says.
    ///
    /// # Errors
    /// [`Stop::Unreadable`].
    pub fn content_type(&mut self, field: &[u8]) -> Result<(), Stop> {
        match MediaType::parse(field) {
            Some(media) if media.is_multipart() => {
                self.multipart = Multipart::new(&media);
                let has_boundary = self.multipart.is_some();
                has_boundary
                    .then_some(())
                    .ok_or_else(|| Stop::Unreadable("a multipart message without boundary".into()))
            }
            media => self.root.media(media),
        }
    }

    /// Takes the next piece, whose first byte stands at `at`.
    ///
    /// # Errors
    /// Why no more is read.
    pub fn push(&mut self, piece: &[u8], at: u64) -> Result<(), Stop> {
        if self.is_guess
            && let Some(first) = piece.iter().find(|&&byte| !is_space(byte))
        {
            // A `<`, a byte order mark, or the zero of a UTF-16 character.
            if !matches!(first, b'<' | 0xEF | 0xFE | 0xFF | 0) {
                return Err(Stop::Unreadable("no media type, and it does not begin as XML does".into()));
            }
            self.is_guess = false;
        }
        let root = &mut self.root;
        match &mut self.multipart {
            None => root.push(piece, at),
            Some(multipart) => multipart.push(piece, at, &mut |part| match part {
                RootPart::Begins { content_type, transfer } => root.begin(content_type, transfer),
                RootPart::Bytes(bytes, at) => root.push(bytes, at),
                RootPart::Ends => Err(root.end()),
            }),
        }
    }

    /// Why nothing more is read, after the last byte.
    pub fn end(&mut self) -> Stop {
        self.root.end()
    }
}

impl<T: Utf8> Root<T> {
    /// Takes what the root part's headers say.
    fn begin(&mut self, content_type: Option<&[u8]>, transfer: Option<&[u8]>) -> Result<(), Stop> {
        self.transfer = Transfer::named(transfer)
            .ok_or_else(|| Stop::Unreadable("a root part with an unknown transfer encoding".into()))?;
        content_type.map_or(Ok(()), |field| self.media(MediaType::parse(field)))
    }

    /// Takes what the media type of the XML says.
    fn media(&mut self, media: Option<MediaType<'_>>) -> Result<(), Stop> {
        let Some(media) = media.filter(MediaType::is_xml) else {
            return Err(Stop::Unreadable("the media type is not XML".into()));
        };
        if let Some(charset) = media.parameter("charset") {
            self.characters = Characters::new(Some(&charset));
        }
        Ok(())
    }

    fn push(&mut self, piece: &[u8], at: u64) -> Result<(), Stop> {
        match &mut self.transfer {
            Transfer::Plain => self.characters.push(piece, at, &mut self.text),
            transfer => transfer.push(piece, at, &mut |piece, at| self.characters.push(piece, at, &mut self.text)),
        }
    }

    fn end(&mut self) -> Stop {
        match self.characters.end(&mut self.text) {
            Err(stop) => stop,
            Ok(()) => Stop::Malformed("the message ends before its envelope does".into()),
        }
    }
}

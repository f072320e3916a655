//! Just enough of Java's object serialization for objects of plain fields: other objects, texts, enums, numbers.
//!
//! Whatever else a stream may have (arrays, classes that write themselves, proxies) is not known here, and is no error.
//! The grammar is §6.4 of the Java Object Serialization Specification.

use crate::metadata::text;
use std::sync::Arc;

/// Why an object was not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes end within it.
    End {
        /// Where something is missing.
        position: usize,
        /// What is missing.
        expected: &'static str,
    },
    /// Something that is not known here.
    Unknown,
}

/// A field's value, as far as anybody asks for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Boolean(bool),
    /// A string, or the name of an enum's constant.
    Text(String),
    /// Shared: an object may be referred to any number of times, and copies of copies would fill the memory.
    Object(Arc<Object>),
    /// A number, or nothing.
    Other,
}

/// An object with the fields of its class and of those that it extends.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Object {
    pub(super) class: String,
    fields: Vec<(String, Value)>,
}

impl Object {
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

#[derive(Debug, Clone)]
struct Class {
    name: String,
    flags: u8,
    fields: Vec<(u8, String)>,
    parent: Option<Arc<Class>>,
}

/// What a later reference can name, in the order in which it came.
#[derive(Debug, Clone)]
enum Handle {
    Class(Arc<Class>),
    Value(Value),
}

const TC_NULL: u8 = 0x70;
const TC_REFERENCE: u8 = 0x71;
const TC_CLASSDESC: u8 = 0x72;
const TC_OBJECT: u8 = 0x73;
const TC_STRING: u8 = 0x74;
const TC_ENDBLOCKDATA: u8 = 0x78;
const TC_ENUM: u8 = 0x7E;
const BASE_HANDLE: u32 = 0x007E_0000;

/// `SC_SERIALIZABLE` alone: the fields are written, and nothing else.
const PLAIN: u8 = 0x02;

/// Objects in objects, classes that extend classes, and how many of either. Flink's object has 2, 2 and 10.
const NESTING_MAX: u32 = 8;
const HANDLES_MAX: usize = 256;

/// The object that begins at `position`, and where it ends.
pub(super) fn read(bytes: &[u8], position: usize) -> Result<(Arc<Object>, usize), Stop> {
    let mut reader = Reader { bytes, position, handles: Vec::new() };
    match reader.value(0)? {
        Value::Object(object) => Ok((object, reader.position)),
        _ => Err(Stop::Unknown),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    handles: Vec<Handle>,
}

impl Reader<'_> {
    fn take(&mut self, count: usize, expected: &'static str) -> Result<&[u8], Stop> {
        let end = self.position.saturating_add(count);
        let taken = self.bytes.get(self.position..end);
        let taken = taken.ok_or(Stop::End { position: self.position, expected })?;
        self.position = end;
        Ok(taken)
    }

    fn u8(&mut self, expected: &'static str) -> Result<u8, Stop> {
        self.take(1, expected).map(|byte| byte[0])
    }

    fn u16(&mut self, expected: &'static str) -> Result<u16, Stop> {
        self.take(2, expected).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn text(&mut self, expected: &'static str) -> Result<String, Stop> {
        let length = usize::from(self.u16(expected)?);
        text::decode(self.take(length, expected)?).ok_or(Stop::Unknown)
    }

    fn remember(&mut self, handle: Handle) -> Result<usize, Stop> {
        if self.handles.len() == HANDLES_MAX {
            return Err(Stop::Unknown);
        }
        self.handles.push(handle);
        Ok(self.handles.len() - 1)
    }

    fn referred(&mut self) -> Result<Handle, Stop> {
        let wire = self.take(4, "a reference")?;
        let wire = u32::from_be_bytes([wire[0], wire[1], wire[2], wire[3]]);
        let index = wire.checked_sub(BASE_HANDLE).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.handles.get(index)).cloned().ok_or(Stop::Unknown)
    }

    fn value(&mut self, depth: u32) -> Result<Value, Stop> {
        if depth > NESTING_MAX {
            return Err(Stop::Unknown);
        }
        match self.u8("an object")? {
            TC_NULL => Ok(Value::Other),
            TC_REFERENCE => match self.referred()? {
                Handle::Value(value) => Ok(value),
                Handle::Class(_) => Err(Stop::Unknown),
            },
            TC_STRING => {
                let text = Value::Text(self.text("a string")?);
                self.remember(Handle::Value(text.clone()))?;
                Ok(text)
            }
            TC_ENUM => {
                self.class(depth)?.ok_or(Stop::Unknown)?;
                let handle = self.remember(Handle::Value(Value::Other))?;
                let constant = self.value(depth + 1)?;
                self.handles[handle] = Handle::Value(constant.clone());
                Ok(constant)
            }
            TC_OBJECT => {
                let class = self.class(depth)?.ok_or(Stop::Unknown)?;
                let handle = self.remember(Handle::Value(Value::Other))?;
                let mut object = Object { class: class.name.clone(), fields: Vec::new() };
                self.fields(&class, &mut object, depth)?;
                let object = Value::Object(Arc::new(object));
                self.handles[handle] = Handle::Value(object.clone());
                Ok(object)
            }
            _ => Err(Stop::Unknown),
        }
    }

    /// The fields of the topmost class come first.
    fn fields(&mut self, class: &Class, object: &mut Object, depth: u32) -> Result<(), Stop> {
        if let Some(parent) = &class.parent {
            self.fields(parent, object, depth)?;
        }
        if class.flags != PLAIN {
            return Err(Stop::Unknown);
        }
        for (kind, name) in &class.fields {
            let value = match kind {
                b'Z' => Value::Boolean(self.u8("a boolean field")? != 0),
                b'B' => self.number(1)?,
                b'C' | b'S' => self.number(2)?,
                b'F' | b'I' => self.number(4)?,
                b'D' | b'J' => self.number(8)?,
                b'L' => self.value(depth + 1)?,
                _ => return Err(Stop::Unknown),
            };
            object.fields.push((name.clone(), value));
        }
        Ok(())
    }

    fn number(&mut self, bytes: usize) -> Result<Value, Stop> {
        self.take(bytes, "a field of numbers").map(|_| Value::Other)
    }

    fn class(&mut self, depth: u32) -> Result<Option<Arc<Class>>, Stop> {
        if depth > NESTING_MAX {
            return Err(Stop::Unknown);
        }
        match self.u8("a class")? {
            TC_NULL => return Ok(None),
            TC_REFERENCE => match self.referred()? {
                Handle::Class(class) => return Ok(Some(class)),
                Handle::Value(_) => return Err(Stop::Unknown),
            },
            TC_CLASSDESC => {}
            _ => return Err(Stop::Unknown),
        }
        let name = self.text("the name of a class")?;
        self.take(8, "the serialVersionUID of a class")?;
        // Nothing within a class refers to it.
        let handle = self.remember(Handle::Value(Value::Other))?;
        let flags = self.u8("the flags of a class")?;
        let count = self.u16("the number of fields")?;
        if usize::from(count) > HANDLES_MAX {
            return Err(Stop::Unknown);
        }
        let mut fields = Vec::new();
        for _ in 0..count {
            let kind = self.u8("the type of a field")?;
            let name = self.text("the name of a field")?;
            if matches!(kind, b'L' | b'[') {
                self.value(depth + 1)?;
            }
            fields.push((kind, name));
        }
        match self.u8("the end of a class")? {
            TC_ENDBLOCKDATA => {}
            _ => return Err(Stop::Unknown),
        }
        let parent = self.class(depth + 1)?;
        let class = Arc::new(Class { name, flags, fields, parent });
        self.handles[handle] = Handle::Class(class.clone());
        Ok(Some(class))
    }
}

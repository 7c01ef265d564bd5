//! The parameters of a request.

use openclaw_protocol_core::json::{Json, NotJson, Object};
use serde::Serialize;

/// The parameters of a request, or none.
///
/// ```
/// use openclaw_protocol_core::json::Object;
/// use openclaw_runtime_smol::client::Params;
///
/// let none = Params::from(());
/// let few = Params::from(Object::new().text("message", "hello"));
/// let own = Params::of(&["a", "b"])?;
/// # let _ = (none, few, own);
/// # Ok::<(), openclaw_protocol_core::json::NotJson>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Params(Option<Json>);

impl Params {
    /// Writes parameters of your own type as JSON.
    ///
    /// # Errors
    /// `value` has no JSON form: a map whose keys are no strings.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, NotJson> {
        Json::of(value).map(|json| Self(Some(json)))
    }

    pub(super) fn into_json(self) -> Option<Json> {
        self.0
    }
}

impl From<()> for Params {
    fn from((): ()) -> Self {
        Self(None)
    }
}

impl From<Json> for Params {
    fn from(json: Json) -> Self {
        Self(Some(json))
    }
}

impl From<Option<Json>> for Params {
    fn from(json: Option<Json>) -> Self {
        Self(json)
    }
}

impl From<Object> for Params {
    fn from(object: Object) -> Self {
        Self(Some(object.finish()))
    }
}

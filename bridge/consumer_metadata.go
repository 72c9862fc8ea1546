package bridge

// MetadataKind is the metadata of a durable that was made for a consumer of a
// configuration: its kind.
const MetadataKind = "hookspan-kind"

// MetadataConfig is the metadata of such a durable that tells configurations of it apart.
const MetadataConfig = "hookspan-config"

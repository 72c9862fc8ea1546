package durablerepair

const KeptDamaged = keptDamaged

func EncodeState(next uint64) []byte { return encodeState(next) }

func CheckState(text []byte) error { _, err := decodeState(text); return err }

package app

import (
	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// KeptCauses returns every cause for which a delivery is quarantined or refused.
func KeptCauses() []string {
	var causes []string
	for _, cause := range []source.Cause{
		source.CauseEncoding, source.CauseSyntax, source.CauseDuplicateKey, source.CauseDepth,
		source.CauseNoID, source.CauseNoStatus, source.CauseTooLong, source.CauseStale,
		source.CauseNoSecret, source.CauseNoSignature, source.CauseSeveralSignatures, source.CauseWrongLength, source.CauseNotHex,
		source.CauseLooksBase64, source.CauseSignaturePrefix, source.CauseSecretSpace, source.CauseSecretPrefix, source.CauseSecretEncoded,
		source.CauseRetiredSecret, source.CauseBodyChanged, source.CauseWrongSignature,
	} {
		causes = append(causes, string(cause))
	}
	return append(causes, bridge.CausePathToken, "too_large", "not_authentic")
}

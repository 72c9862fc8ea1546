package archive

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/hookspan/hookspan/bridge"
)

// Names of the files that lie beside the outputs of a prediction.
const (
	eventName     = "event.json"
	signatureName = "event.signature"
	manifestName  = "manifest.json"
)

var (
	outputName = regexp.MustCompile(`^(0|[1-9][0-9]{0,4})\.[a-z0-9]{1,8}$`)
	// temporaryName matches the files that a killed write leaves behind; earlier versions left
	// 0.part and 0.part.json.
	temporaryName = regexp.MustCompile(`^(?:(?:event\.json|event\.signature|manifest\.json|[0-9]{1,5}\.[a-z0-9]{1,8})\.[0-9a-f]+\.tmp|[0-9]{1,5}\.part(?:\.json)?)$`)
)

// folderKey is the folder of the event's prediction. Every part that the sender chooses is
// encoded, so none can hold a '/' or a '.', or begin with a '-'.
func folderKey(ev *bridge.Event) string {
	at := ev.Time.UTC()
	return strings.Join([]string{token(ev.Source), token(at.Format("2006")), at.Format("01/02"), token(ev.PredictionID)}, "/")
}

// token is [bridge.EncodeToken] with two more escapes: of a '-' at the beginning, which makes an
// option of a name where a shell expands a '*'; and of "__0x", with which libraries for object
// stores begin escapes of their own.
func token(s string) string {
	t := strings.ReplaceAll(bridge.EncodeToken(s), "__0x", "_=5F0x")
	if strings.HasPrefix(t, "-") {
		return "=2D" + t[1:]
	}
	return t
}

// conflictKey is the folder of an event when another event of the same prediction has the folder
// already. No folder of a prediction has a '.' in its last part.
func conflictKey(folder, eventID string) string {
	digest := eventID[strings.LastIndexByte(eventID, '/')+1:]
	return folder + "." + token(digest)
}

func fileName(n int, ext string) string { return strconv.Itoa(n) + "." + ext }

func outputNumber(name string) (int, bool) {
	m := outputName.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return n, err == nil
}

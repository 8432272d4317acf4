package lwm2m

import (
	"fmt"

	"github.com/windlass-ota/windlass/ota"
)

// object is where an object of updates has what, and what its numbers mean, as
// ThingsBoard maps them.
type object struct {
	kind                              ota.Kind
	id                                uint16
	pkg, uri, apply                   uint16
	state, result                     uint16
	name, version                     uint16
	delivery                          uint16 // 0: it has none
	word                              string // "Firmware Update", in the log of the transport
	stateNames                        map[int64]string
	resultNames                       map[int64]string
	states                            map[int64]ota.State
	results                           map[int64]outcome
	downloaded, installed, installing int64 // states; -1: there is none
}

// outcome is what a result means for an update. again says that another try may
// help: what broke was the way, not the package.
type outcome struct {
	state ota.State
	again bool
}

var (
	failed      = outcome{ota.Failed, false}
	failedAgain = outcome{ota.Failed, true}
)

// firmware is object 5 (TS 1.0, appendix E.6).
var firmware = object{
	kind: ota.Firmware, id: 5, pkg: 0, uri: 1, apply: 2, state: 3, result: 5, name: 6, version: 7, delivery: 9, word: "Firmware Update",
	stateNames: map[int64]string{0: "IDLE", 1: "DOWNLOADING", 2: "DOWNLOADED", 3: "UPDATING"},
	states:     map[int64]ota.State{1: ota.Downloading, 2: ota.Downloaded, 3: ota.Updating},
	resultNames: map[int64]string{
		0: "INITIAL", 1: "UPDATE_SUCCESSFULLY", 2: "NOT_ENOUGH_FLASH", 3: "OUT_OF_RAM", 4: "CONNECTION_LOST", 5: "INTEGRITY_CHECK_FAILURE",
		6: "UNSUPPORTED_PACKAGE_TYPE", 7: "INVALID_URI", 8: "UPDATE_FAILED", 9: "UNSUPPORTED_PROTOCOL", 10: "UPDATE_CANCELLED", 11: "UPDATE_DEFERRED",
	},
	results: map[int64]outcome{
		1: {state: ota.Updated}, 2: failed, 3: failed, 4: failedAgain, 5: failedAgain, 6: failed, 7: failed, 8: failed, 9: failed, 10: failed,
	},
	downloaded: 2, installing: 3, installed: -1,
}

// software is object 9 (LwM2M Software Management 1.0).
var software = object{
	kind: ota.Software, id: 9, pkg: 2, uri: 3, apply: 4, state: 7, result: 9, name: 0, version: 1, word: "Software Update",
	stateNames: map[int64]string{0: "INITIAL", 1: "DOWNLOAD_STARTED", 2: "DOWNLOADED", 3: "DELIVERED", 4: "INSTALLED"},
	states:     map[int64]ota.State{1: ota.Downloading, 2: ota.Downloading, 3: ota.Downloaded},
	resultNames: map[int64]string{
		0: "INITIAL", 1: "DOWNLOADING", 2: "SUCCESSFULLY_INSTALLED", 3: "SUCCESSFULLY_DOWNLOADED_VERIFIED", 50: "NOT_ENOUGH_STORAGE", 51: "OUT_OF_MEMORY",
		52: "CONNECTION_LOST", 53: "PACKAGE_CHECK_FAILURE", 54: "UNSUPPORTED_PACKAGE_TYPE", 56: "INVALID_URI", 57: "UPDATE_ERROR", 58: "INSTALL_FAILURE", 59: "UNINSTALL_FAILURE",
	},
	results: map[int64]outcome{
		1: {state: ota.Downloading}, 2: {state: ota.Updated}, 3: {state: ota.Verified},
		50: failedAgain, 51: failedAgain, 52: failed, 53: failed, 54: failed, 56: failedAgain, 57: failedAgain, 58: failedAgain, 59: failedAgain,
	},
	downloaded: 3, installing: -1, installed: 4,
}

// uninstall takes a package of software away; with "1" so that another takes its
// place.
const uninstall = 6

func (o *object) stateName(n int64) string {
	if s := o.stateNames[n]; s != "" {
		return s
	}
	return fmt.Sprintf("STATE %d", n)
}

func (o *object) resultName(n int64) string {
	if s := o.resultNames[n]; s != "" {
		return s
	}
	return fmt.Sprintf("RESULT %d", n)
}

// outcomeOf is what a result means; nothing for those that mean nothing. One that
// nobody has defined is a failure.
func (o *object) outcomeOf(n int64) outcome {
	if x, ok := o.results[n]; ok {
		return x
	}
	if n <= 0 || o.resultNames[n] != "" {
		return outcome{}
	}
	return failed
}

// rank orders what is said of an update under way.
func rank(s ota.State) int {
	for i, x := range ota.States()[:6] {
		if s == x {
			return i
		}
	}
	return -1
}

// underWay says whether a device is at something by its last word.
func underWay(s ota.State) bool { return rank(s) >= rank(ota.Downloading) }

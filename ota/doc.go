// Package ota holds the nouns of over-the-air updating and the rules between
// them: a [Device] runs one [Package] of a [Kind], an [Assignment] promises it
// another, and an [Update] is the road from the first to the second.
//
// It also declares what the house expects of its stores ([Homes], [Finder],
// [Values], [Owner], [Blobs]) and the two forms in which everything else talks
// about devices: a [Message] that came in and a [Reply] that goes out.
//
// Nothing here reads a wire, a database or a clock. Time and stored state come
// in as arguments, so every rule can be tested as a plain function.
package ota

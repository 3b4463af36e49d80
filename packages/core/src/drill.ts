/**
 * The model id that every authenticator of a drill carries (WebAuthn §6.5.1, AAGUID). A gate that was not started as a drill refuses to enrol it,
 * so a virtual person can approve nothing outside the drill that made it.
 */
export const drillAaguid = '5a11b0a7-d411-4000-8000-000000000001'

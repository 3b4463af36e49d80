/**
 * What another implementation signed and proved: an entry of Sigstore's public Rekor v2 log, which is a tlog-tiles log with Ed25519 checkpoints.
 * Facts only, as the log serves them to anybody.
 */
export const rekor = {
  origin: 'log2025-1.rekor.sigstore.dev',
  /** Ed25519, 32 bytes. */
  publicKeyHex: 'b7cae5a759271b08df6dc5c060f600927d1788bcf5c7c3b8b7462412189edb8e',
  keyId: 0xcf119915,
  index: 412_114,
  size: 412_115,
  root: '+8vUkEgBK/ansexBUomzocaWoPEmPIzxJC/y+xNMQN4=',
  proof: [
    'KIoYVJ0TqmaEkFboP7YWTjSh8vFjVECmokcTOAByfIM=',
    'Umf0h0cK2hegTzNnSgsXszyiA4bp5OvEvP+GrWq3C8w=',
    'vNQeSNBfepYZI2Ez3ViKdCft0JH87ZS8IGKwixxUVjc=',
    'JBAugd5awOqmHXIKgz1MOjlR5f37VqmP0bWoRVcHX5M=',
    'xYH2mAxGxfOgvSOLnItT2LsJt+Z2a2egjf8QJFwK7jA=',
    'PbZWM3NitzChx9A22m/kddDtzh2bAKX5Fy7j76l3z2k=',
    'sKX9Sbsahvw5DiC2oP6pbZsDi1NzuNS1nIULXkCC57o=',
    'pfTCxXHnCM253jwYxVJcuUhmoTTtDxznn92QhN0M4Ws=',
    'cJ8uk2ZvZyfg+HRILKOHcyHu2pvI8Fz3R1MyMvyzWtA=',
  ],
  checkpoint:
    'log2025-1.rekor.sigstore.dev\n412115\n+8vUkEgBK/ansexBUomzocaWoPEmPIzxJC/y+xNMQN4=\n\n— log2025-1.rekor.sigstore.dev zxGZFahCZ/+MqTjH4rC5MWcdLDWbpetE5l30RZfQc4BQkRjWSoKipEUPjvHENeZDHIlAsuezJcLzUVvItpNjaSRoMAs=\n',
  /** The entry's bytes, base64. */
  entry:
    'eyJhcGlWZXJzaW9uIjoiMC4wLjIiLCJraW5kIjoiaGFzaGVkcmVrb3JkIiwic3BlYyI6eyJoYXNoZWRSZWtvcmRWMDAyIjp7ImRhdGEiOnsiYWxnb3JpdGhtIjoiU0hBMl8yNTYiLCJkaWdlc3QiOiI1ZEoyU2FrVWVPWFk0dXQxaEJIUG9teitoVG42dGMwS1R6Y0dvc0ErZXBFPSJ9LCJzaWduYXR1cmUiOnsiY29udGVudCI6Ik1FWUNJUURjSk84Mm56MXJydHUxRHhTcHJ1WDFvZ0p1bThkbDRJaUdCTVB6M2pZY2JnSWhBS3dROHdOdTFPbjhwWWZoQUpDSzhPcVQwT09HVGgveUFRK0FuL2UzZC9kVSIsInZlcmlmaWVyIjp7ImtleURldGFpbHMiOiJQS0lYX0VDRFNBX1AyNTZfU0hBXzI1NiIsInB1YmxpY0tleSI6eyJyYXdCeXRlcyI6Ik1Ga3dFd1lIS29aSXpqMENBUVlJS29aSXpqMERBUWNEUWdBRTBxOVErdGRHMTk1Q1hLZm1VeDFZYXR2Wi9tTjNyaGpwT2ZtMWx2c2tXcHJIOVB4cGU5WGM2TGpFSmJCY1ZQaHV0a2ZVdkJCOVJEays0MlNORTYvNXhnPT0ifX19fX19',
} as const

/** A checkpoint of another log of the same makers, under another key. */
export const rekorStaging = {
  origin: 'log2025-alpha1.rekor.sigstage.dev',
  publicKeyHex: '3e7f804441e805a67bc204b5cc1aa9c662d21a7ca1c578f8945c52756541f28f',
  keyId: 0xf30d5a99,
  size: 736,
  checkpoint:
    'log2025-alpha1.rekor.sigstage.dev\n736\nrs1YPY0ydAV0lxgfrq5pE4oRpUJwo3syeps5+eGUTDI=\n\n— log2025-alpha1.rekor.sigstage.dev 8w1amdbj1mjNN674dHAkD92+QZoEgBC7o0mXYSTRluDjQrOPjrps3zQB9ut+ShLepyZPsWBDi5IB3yXyjgjQT6OG9A8=\n',
} as const

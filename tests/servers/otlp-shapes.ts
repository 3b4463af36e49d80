import { z } from 'zod'

/**
 * The JSON form of OpenTelemetry's export requests (opentelemetry-proto, `trace_service.proto` and `logs_service.proto`): ids are lower-case hex,
 * 64-bit numbers strings, enums numbers, names in lowerCamelCase. Strict: a field that the protocol does not have is refused.
 */
const hex = (bytes: number): z.ZodString => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`))
const fixed64 = z.string().regex(/^\d{1,20}$/)
const anyValue = z.union([
  z.strictObject({ stringValue: z.string() }),
  z.strictObject({ boolValue: z.boolean() }),
  z.strictObject({ intValue: z.string().regex(/^-?\d{1,19}$/) }),
  z.strictObject({ doubleValue: z.number() }),
])
const attributes = z.array(z.strictObject({ key: z.string().min(1), value: anyValue }))
const resource = z.strictObject({ attributes })
const scope = z.strictObject({ name: z.string(), version: z.string().optional() })

const span = z.strictObject({
  traceId: hex(16).refine((id) => /[^0]/.test(id)),
  spanId: hex(8).refine((id) => /[^0]/.test(id)),
  traceState: z.string().optional(),
  parentSpanId: hex(8).optional(),
  name: z.string().min(1),
  kind: z.int().min(0).max(5),
  startTimeUnixNano: fixed64,
  endTimeUnixNano: fixed64,
  attributes,
  status: z.strictObject({ code: z.int().min(0).max(2), message: z.string().optional() }).optional(),
})
export const tracesShape = z.strictObject({
  resourceSpans: z.array(z.strictObject({ resource, scopeSpans: z.array(z.strictObject({ scope, spans: z.array(span) })) })),
})

const logRecord = z.strictObject({
  timeUnixNano: fixed64,
  observedTimeUnixNano: fixed64.optional(),
  severityNumber: z.int().min(0).max(24),
  severityText: z.string(),
  eventName: z.string().optional(),
  body: anyValue,
  attributes,
  traceId: hex(16).optional(),
  spanId: hex(8).optional(),
})
export const logsShape = z.strictObject({
  resourceLogs: z.array(
    z.strictObject({ resource, scopeLogs: z.array(z.strictObject({ scope, logRecords: z.array(logRecord) })) }),
  ),
})

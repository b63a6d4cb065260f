"! Why there is no token. Carries a message of class ZTKW and its values; never a token, a secret,
"! or anything a server sent except its error code.
CLASS zcx_tkw DEFINITION PUBLIC INHERITING FROM cx_static_check ABSTRACT CREATE PUBLIC.

  PUBLIC SECTION.
    INTERFACES if_t100_message.

    CONSTANTS:
      "! A person must change something: ZCX_TKW_REFUSED.
      c_refused     TYPE c LENGTH 1 VALUE 'R',
      "! Later it may work: ZCX_TKW_UNAVAILABLE.
      c_unavailable TYPE c LENGTH 1 VALUE 'U',
      "! No authorisation: ZCX_TKW_DENIED.
      c_denied      TYPE c LENGTH 1 VALUE 'D'.

    DATA:
      arg1 TYPE symsgv READ-ONLY,
      arg2 TYPE symsgv READ-ONLY,
      arg3 TYPE symsgv READ-ONLY,
      arg4 TYPE symsgv READ-ONLY.

    "! @parameter msgno | number in message class ZTKW
    METHODS constructor
      IMPORTING
        msgno    TYPE symsgno
        arg1     TYPE csequence OPTIONAL
        arg2     TYPE csequence OPTIONAL
        arg3     TYPE csequence OPTIONAL
        arg4     TYPE csequence OPTIONAL
        previous TYPE REF TO cx_root OPTIONAL.

    "! Which of the three kinds this is, for interfaces that carry no exceptions, such as RFC.
    METHODS kind ABSTRACT
      RETURNING
        VALUE(kind) TYPE char1.

    "! The exception that another session described.
    CLASS-METHODS raise_kind
      IMPORTING
        kind  TYPE char1
        msgno TYPE symsgno
        arg1  TYPE symsgv
        arg2  TYPE symsgv
        arg3  TYPE symsgv
        arg4  TYPE symsgv
      RAISING
        zcx_tkw.

  PROTECTED SECTION.
  PRIVATE SECTION.
ENDCLASS.


CLASS zcx_tkw IMPLEMENTATION.

  METHOD constructor.
    super->constructor( previous ).
    me->arg1 = arg1.
    me->arg2 = arg2.
    me->arg3 = arg3.
    me->arg4 = arg4.
    if_t100_message~t100key-msgid = 'ZTKW'.
    if_t100_message~t100key-msgno = msgno.
    if_t100_message~t100key-attr1 = 'ARG1'.
    if_t100_message~t100key-attr2 = 'ARG2'.
    if_t100_message~t100key-attr3 = 'ARG3'.
    if_t100_message~t100key-attr4 = 'ARG4'.
  ENDMETHOD.

  METHOD raise_kind.
    CASE kind.
      WHEN c_denied.
        RAISE EXCEPTION TYPE zcx_tkw_denied
          EXPORTING
            msgno = msgno
            arg1  = arg1
            arg2  = arg2
            arg3  = arg3
            arg4  = arg4.
      WHEN c_unavailable.
        RAISE EXCEPTION TYPE zcx_tkw_unavailable
          EXPORTING
            msgno = msgno
            arg1  = arg1
            arg2  = arg2
            arg3  = arg3
            arg4  = arg4.
      WHEN OTHERS.
        RAISE EXCEPTION TYPE zcx_tkw_refused
          EXPORTING
            msgno = msgno
            arg1  = arg1
            arg2  = arg2
            arg3  = arg3
            arg4  = arg4.
    ENDCASE.
  ENDMETHOD.

ENDCLASS.
